"""What is told about tasks: operation logs in Cloud Logging's shape, and lines for people who watch the cloud.

Owns the TaskActivityLog of queues with a sampling ratio (google.cloud.tasks.logging.v1), the warning when a task
is dropped, of which nobody else would hear, and the hint when a receiver's door says 403 or 404. Leaves alone: storing
entries (logs/entries.py).
"""

import random
from collections import Counter, defaultdict
from typing import Any

from local_cloud.apis.cloud_tasks.metrics import QueueMetrics, target_type
from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.engines.app_engine import METHOD_NAMES
from local_cloud.engines.attempt import CODE_NAMES, Outcome
from local_cloud.engines.queues import Queue
from local_cloud.engines.tasks import Task
from local_cloud.logs.entries import Entries, rfc3339

Stored = message("google.cloud.tasks.v2.Task")

#: The same hint for the same queue is not repeated for so many seconds of the cloud's clock.
HINT_EVERY = 60.0

_HINTS = {
    403: "the receiver's door refused the caller: give the account of the task's oidcToken roles/run.invoker on the "
    "service, and check that the token's audience is the service's URL",
    404: "nothing is served at this URL: check the service's name and path, and that the service is deployed",
}


def _target(queue: Queue, task: Task, url: str) -> dict[str, str]:
    """Where a task goes, as the real entries say it: `POST https://...`."""
    stored = Stored.FromString(task.spec)
    kind = stored.WhichOneof("message_type")
    method = METHOD_NAMES[getattr(stored, kind).http_method] if kind else ""
    if kind == "app_engine_http_request":
        return {"targetType": "APP_ENGINE", "targetAddress": f"{method} {url}"}
    method = METHOD_NAMES[queue.spec.http_target.http_method] if queue.spec.http_target.http_method else method
    return {"targetType": "HTTP", "targetAddress": f"{method} {url}"}


class Watch:
    """The dispatcher's watcher."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._hinted: dict[tuple[str, int], float] = {}
        self._random = random.Random()
        #: Since the start, by queue: attempts, tasks that succeeded, tasks dropped.
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.metrics = QueueMetrics(cloud)
        cloud.provide(self.metrics)

    def created(self, queue: Queue, task: Task, url: str) -> None:
        """A task was accepted."""
        if self._sampled(queue):
            self._operation(queue, task, "INFO", {"taskCreationLog": {**_target(queue, task, url), "status": "OK"}})

    def answered(self, queue: Queue, task: Task, outcome: Outcome, url: str) -> None:
        """An attempt ended."""
        self.metrics.answered(queue, task, outcome)
        if not queue.gone:
            counts = self.counts[queue.name]
            counts["attempts"] += 1
            counts["succeeded"] += outcome.ok
        if self._sampled(queue):
            last = task.last
            retry = task.retry or queue.limits.retry
            body: dict[str, Any] = {
                **_target(queue, task, url),
                "status": CODE_NAMES[outcome.code],
                "dispatchCount": str(task.dispatched),
                "responseCount": str(task.responses),
                "maxAttempts": retry.max_attempts,
            }
            if last is not None:
                body["scheduleTime"] = rfc3339(last.schedule)
                body["attemptDuration"] = f"{max(0.0, last.response - last.dispatch):.6f}s"
            if not task.gone:
                body["retryTime"] = rfc3339(task.schedule)
            severity = "INFO" if outcome.ok else "ERROR"
            self._operation(queue, task, severity, {"attemptResponseLog": body})
        if hint := _HINTS.get(outcome.status):
            self._hint(queue, task, outcome.status, f"{url} answered {outcome.status}: {hint}.")
        elif not outcome.status:
            self._hint(queue, task, 0, f"{url}: {outcome.message}")

    def dropped(self, queue: Queue, task: Task, why: str) -> None:
        """A task was given up: Google tells nobody, so this line is all there is."""
        if not queue.gone:
            self.counts[queue.name]["dropped"] += 1
        last = task.last
        self._cloud.log.event(
            "WARNING",
            f"Task {task.id} of {queue.id} was dropped: {why}.",
            queue=queue.name,
            task=task.id,
            attempts=task.dispatched,
            last_status=last.message if last else "",
            reason=why,
        )

    def forget(self, queue: str) -> None:
        """The queue was deleted."""
        self.counts.pop(queue, None)
        for key in [key for key in self._hinted if key[0] == queue]:
            del self._hinted[key]

    def _hint(self, queue: Queue, task: Task, status: int, text: str) -> None:
        now = self._cloud.now()
        if now - self._hinted.get((queue.name, status), 0.0) >= HINT_EVERY:
            if not queue.gone:
                self._hinted[queue.name, status] = now
            attempt = task.dispatched
            self._cloud.log.event("WARNING", text, queue=queue.name, task=task.id, attempt=attempt, status=status)

    def _sampled(self, queue: Queue) -> bool:
        ratio: float = queue.spec.stackdriver_logging_config.sampling_ratio
        return ratio > 0 and (ratio >= 1 or self._random.random() < ratio)

    def _operation(self, queue: Queue, task: Task, severity: str, body: dict[str, Any]) -> None:
        """One operation, as Cloud Logging gets it."""
        payload = {
            "@type": "type.googleapis.com/google.cloud.tasks.logging.v1.TaskActivityLog",
            "task": f"{queue.name}/tasks/{task.id}",
            **body,
        }
        project, location = self._cloud.project, queue.name.split("/")[3]
        entry = {
            "logName": f"projects/{project}/logs/cloudtasks.googleapis.com%2Ftask_operations_log",
            "severity": severity,
            "resource": {
                "type": "cloud_tasks_queue",
                "labels": {
                    "project_id": project,
                    "location": location,
                    "queue_id": queue.id,
                    "target_type": target_type(task),
                },
            },
            "jsonPayload": payload,
        }
        self._cloud.use(Entries).write(entry)
