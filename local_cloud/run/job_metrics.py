"""The metrics of Cloud Run's jobs: executions and attempts of tasks, those that ended and those that run.

Source: https://cloud.google.com/monitoring/api/metrics_gcp (run, job/...).
"""

from collections import Counter
from collections.abc import Callable, Iterator

from local_cloud.cloud import Cloud
from local_cloud.metrics.series import Key, Value, key

_METRIC = "run.googleapis.com/job"

#: Gives, for each execution that is not over, the name of its job and how many attempts it has running.
Running = Callable[[], Iterator[tuple[str, int]]]


class JobMetrics:
    """What the meter is told of jobs."""

    def __init__(self, cloud: Cloud, running: Running) -> None:
        self._project = cloud.project
        self._running = running
        self._known: set[str] = set()
        self._executions = cloud.meter.counter(f"{_METRIC}/completed_execution_count", self._execution)
        self._attempts = cloud.meter.counter(f"{_METRIC}/completed_task_attempt_count", self._attempt)
        cloud.meter.sampler(self._sample)

    def execution_ended(self, job: str, succeeded: bool) -> None:
        """An execution is over."""
        self._executions[job, succeeded] += 1

    def attempt_ended(self, job: str, attempt: int, succeeded: bool) -> None:
        """An attempt of a task is over; `attempt` counts from 0."""
        self._attempts[job, attempt, succeeded] += 1

    def _key(self, metric: str, job: str, **labels: str) -> Key:
        parts = job.split("/")
        resource = {"project_id": self._project, "location": parts[3], "job_name": parts[5]}
        return key(f"{_METRIC}/{metric}", "cloud_run_job", resource, labels)

    def _execution(self, counted: tuple[str, bool]) -> Key:
        job, succeeded = counted
        return self._key("completed_execution_count", job, result=_result(succeeded))

    def _attempt(self, counted: tuple[str, int, bool]) -> Key:
        job, attempt, succeeded = counted
        return self._key("completed_task_attempt_count", job, result=_result(succeeded), attempt=str(attempt))

    def _sample(self, _seconds: float) -> Iterator[tuple[Key, Value]]:
        """Of the jobs that run, and once more, as 0, of those that did."""
        executions: Counter[str] = Counter()
        attempts: Counter[str] = Counter()
        for job, running in self._running():
            executions[job] += 1
            attempts[job] += running
        known, self._known = self._known, set(executions)
        for job in sorted(known | self._known):
            yield self._key("running_executions", job), executions[job]
            yield self._key("running_task_attempts", job), attempts[job]


def _result(succeeded: bool) -> str:
    return "succeeded" if succeeded else "failed"
