"""Executions of jobs: tasks that are forked from the image's zygote, tried again, counted, cancelled and deleted.

Owns what happens between RunJob and the end of its operation. Attempts live in memory: a cloud that is killed takes
them along, and at its restart each counts as one that failed, tried again by max_retries, while tasks that had ended or
not begun are as they were. Tasks run side by side up to `parallelism`, and up to CEILING on this machine.
Of each job the latest MOST_KEPT executions are kept, and any that ended in the last KEPT_SECONDS.
Source: https://cloud.google.com/run/docs/execute/jobs, .../configuring/max-retries, .../container-contract.
"""

import asyncio
import contextlib
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.batch import Attempt, Ended
from local_cloud.engines.forks import ForkError, Start
from local_cloud.engines.instances import StartError
from local_cloud.errors import ApiError, already_exists, failed_precondition, not_found
from local_cloud.run import execution_status as status
from local_cloud.run.environment import declared
from local_cloud.run.job_metrics import JobMetrics
from local_cloud.run.jobs import Jobs
from local_cloud.run.plans import on_the_clouds_clock, output_to, staging
from local_cloud.run.services import RECONCILING, SUCCEEDED, Services
from local_cloud.run.volumes import mounts, not_mounted
from local_cloud.secrets import stamp

#: Tasks of one execution that run at once at most: a laptop has not Google's thousands of CPUs.
CEILING = 16
#: A job's latest executions that are kept however old they are; what is older than these seconds and not among them
#: is forgotten (https://cloud.google.com/run/docs/execute/jobs).
MOST_KEPT, KEPT_SECONDS = 1000, 7 * 86400


@dataclass(eq=False)
class Run:
    """What is in memory of an execution that is not over."""

    attempts: set[Attempt] = field(default_factory=set)
    cancelled: bool = False
    work: "asyncio.Task[None] | None" = None


class Executions:
    """All executions and tasks of the project's jobs."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.executions = cloud.store.messages("run.executions", status.EXECUTION)
        self.tasks = cloud.store.messages("run.tasks", status.TASK)
        #: Operations that end with an execution: their name, and whether they answer with the execution or its job.
        self.operations = cloud.store.json("run.executions.operations")
        #: The names of each job's executions, oldest first.
        self._by_job: dict[str, dict[str, None]] = {}
        for name in self.executions:
            self._by_job.setdefault(job_of(name), {})[name] = None
        self._runs: dict[str, Run] = {}
        self._metrics = JobMetrics(cloud, self._running)

    # Lookups

    def get(self, name: str) -> Message:
        """An execution, or NOT_FOUND in Cloud Run's words."""
        return _found(self.executions.get(name), name, "EXECUTION")

    def task(self, name: str) -> Message:
        """A task."""
        return _found(self.tasks.get(name), name, "TASK")

    def of_job(self, job: str) -> list[Message]:
        """The executions of a job, oldest first."""
        return [self.executions[name] for name in self._by_job.get(job, ())]

    def tasks_of(self, execution: str) -> list[Message]:
        """The tasks of an execution, by index."""
        found = self.executions.get(execution)
        names = (status.task_name(execution, index) for index in range(found.task_count if found else 0))
        return [task for name in names if (task := self.tasks.get(name)) is not None]

    # What callers ask for

    def draft(self, job: Message, template: Message, creator: str, suffix: str = "") -> Message:
        """An execution that is not kept yet."""
        chosen = suffix or "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
        name = f"{job.name.rpartition('/')[2]}-{chosen}"
        made = status.new_execution(self.cloud, job, template, name, creator)
        for container in made.template.containers:
            container.image = self.cloud.use(Services).resolved(container.image)
        return made

    def begin(self, execution: Message, operation: str = "", answer: str = "execution") -> Message:
        """Keep it and start it; the operation, if there is one, ends when it does."""
        if execution.name in self.executions:
            raise already_exists(f"Resource '{execution.name.rpartition('/')[2]}' already exists.")
        self.executions[execution.name] = execution
        self._by_job.setdefault(job_of(execution.name), {})[execution.name] = None
        for index in range(execution.task_count):
            task = status.new_task(self.cloud, execution, index)
            self.tasks[task.name] = task
        if operation:
            self.operations[execution.name] = {"operation": operation, "answer": answer}
        self._tell_job(execution, count=1)
        self._forget_old(job_of(execution.name))
        self._launch(execution.name)
        return execution

    def cancel(self, name: str) -> Message:
        """Stop what runs of it and start nothing more; the answer's end is the execution's."""
        execution = self.get(name)
        if status.over(execution):
            raise failed_precondition(f"Execution '{name.rpartition('/')[2]}' cannot be cancelled: it is over.")
        status.condition(self.cloud, execution, "Completed", RECONCILING, "Cancelling execution.", "CANCELLING")
        self.executions.save(name)
        parent = name.rpartition("/jobs/")[0]
        operation = self.cloud.operations.begin(parent, execution)
        self.cloud.clock.spawn(self._cancelled(name, operation.name), "run execution")
        return operation

    async def _cancelled(self, name: str, operation: str) -> None:
        await self._stop(name)
        found = self.executions.get(name)
        self.cloud.operations.finish(operation, found)

    async def delete(self, name: str) -> Message:
        """Forget it with its tasks; one that runs is cancelled first."""
        await self._stop(name)
        execution = self._forget(name)
        execution.delete_time.FromNanoseconds(status.nanoseconds(self.cloud))
        return execution

    def _forget(self, name: str) -> Message:
        execution, job = self.get(name), job_of(name)
        for task in self.tasks_of(name):
            self.tasks.pop(task.name)
        self.executions.pop(name)
        self._by_job[job].pop(name)
        if not self._by_job[job]:
            self._by_job.pop(job)
        self._tell_job(execution, count=-1)
        return execution

    def _forget_old(self, job: str) -> None:
        horizon = status.nanoseconds(self.cloud) - KEPT_SECONDS * 10**9
        names = self._by_job[job]
        for name in list(islice(names, max(len(names) - MOST_KEPT, 0))):
            execution = self.executions[name]
            if not status.over(execution) or execution.completion_time.ToNanoseconds() > horizon:
                break
            self._forget(name)

    # Across the cloud's own end

    def resume(self) -> None:
        """Take up what the end of the process before this one cut short."""
        for name, execution in list(self.executions.items()):
            if status.over(execution) or name in self._runs:  # who asks early is already served
                continue
            for task in self.tasks_of(name):
                if status.completed(task).state == RECONCILING:
                    self._note(execution, task, Ended(broken="The instance was lost when the local cloud ended."))
            status.recount(execution, self.tasks_of(name))
            self._launch(name)

    async def stop(self) -> None:
        """End every attempt, leaving what is kept as if the cloud had been killed."""
        works = [run.work for run in self._runs.values() if run.work is not None]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    # The work

    def _launch(self, name: str) -> None:
        run = self._runs[name] = Run()
        reason = status.completed(self.executions[name]).execution_reason
        run.cancelled = reason == status.REASONS["CANCELLING"]
        run.work = asyncio.get_running_loop().create_task(self._execute(name, run))

    async def _stop(self, name: str) -> None:
        run = self._runs.get(name)
        if run is None or run.work is None:
            return
        run.cancelled = True
        await asyncio.gather(*(attempt.stop("cancelled") for attempt in run.attempts))
        await asyncio.wait([run.work])

    async def _execute(self, name: str, run: Run) -> None:
        """Bring the execution to its end, whatever happens."""
        try:
            await self._carry_out(name, run)
        except Exception as error:
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": f"The execution {name} failed unforeseen", "exception": error})
            run.cancelled = True
            await asyncio.gather(*(attempt.stop("cancelled") for attempt in run.attempts))
            self._runs.pop(name, None)
            execution = self.executions.get(name)
            if execution is not None:
                why = f"The local cloud could not finish the execution: {type(error).__name__}: {error}"
                for task in [task for task in self.tasks_of(name) if not status.over(task)]:
                    status.ended(self.cloud, task, why, "JOB_STATUS_SERVICE_POLLING_ERROR")
                    self.tasks.save(task.name)
                status.ended(self.cloud, execution, why, "JOB_STATUS_SERVICE_POLLING_ERROR")
                self.executions.save(name)
                self._tell_job(execution)
                self._answer(execution, "INTERNAL")

    async def _carry_out(self, name: str, run: Run) -> None:
        execution = self.executions[name]
        waiting = iter([task for task in self.tasks_of(name) if not status.over(task)])
        side_by_side = min(execution.parallelism or execution.task_count, CEILING)
        await asyncio.gather(*(self._work(execution, run, waiting) for _ in range(side_by_side)))
        tasks = self.tasks_of(name)
        status.recount(execution, tasks)
        failed = next((task for task in tasks if status.completed(task).state != SUCCEEDED), None)
        if run.cancelled and failed is not None:
            status.ended(self.cloud, execution, "Execution cancelled.", "CANCELLED")
        elif failed is not None:
            text = f"Task {failed.name.rpartition('/')[2]} failed with message: {status.completed(failed).message}"
            status.ended(self.cloud, execution, text, "NON_ZERO_EXIT_CODE")
        else:
            status.ended(self.cloud, execution)
            seconds = (execution.completion_time.ToNanoseconds() - execution.create_time.ToNanoseconds()) / 1e9
            status.completed(execution).message = f"Execution completed successfully in {seconds:.2f}s."
        stamp(execution)
        self.executions.save(name)
        self._metrics.execution_ended(job_of(name), failed is None)
        self._runs.pop(name, None)
        self._tell_job(execution)
        self._answer(execution)

    async def _work(self, execution: Message, run: Run, waiting: Iterator[Message]) -> None:
        for task in waiting:
            while not status.over(task):
                if run.cancelled:
                    self._note(execution, task, Ended(stopped="cancelled"))
                    break
                self._begin_attempt(execution, task)
                outcome = await self._attempt(execution, task, run)
                self._note(execution, task, outcome)

    def _begin_attempt(self, execution: Message, task: Message) -> None:
        first = not execution.HasField("start_time")
        status.started(self.cloud, execution, "execution")
        status.started(self.cloud, task, "task")
        status.condition(self.cloud, task, "Completed", RECONCILING)
        execution.running_count += 1
        self.tasks.save(task.name)
        self.executions.save(execution.name)
        if first:
            self._tell_job(execution)

    async def _attempt(self, execution: Message, task: Message, run: Run) -> Ended:
        attempt = Attempt()
        run.attempts.add(attempt)
        try:
            start, image = await self._start(execution, task)
            server = await self.cloud.use(Services).server(image)
            write = output_to(self.cloud, *self._log_of(execution, task))
            for warning in not_mounted(task.volumes, task.containers[0]):
                write(attempt.id, "system", warning)
            outcome = await attempt.run(
                server,
                start,
                lambda stream, text: write(attempt.id, stream, text),
                timeout=task.timeout.ToNanoseconds() / 1e9,
                later=on_the_clouds_clock(self.cloud),
            )
            if not outcome.ok:
                write(attempt.id, "system", _how(outcome))
            return outcome
        except (StartError, ForkError) as error:
            return Ended(broken=str(error))
        finally:
            run.attempts.discard(attempt)

    async def _start(self, execution: Message, task: Message) -> tuple[Start, str]:
        container, account = task.containers[0], task.service_account
        platform = {
            "CLOUD_RUN_JOB": execution.job,
            "CLOUD_RUN_EXECUTION": task.execution,
            "CLOUD_RUN_TASK_INDEX": str(task.index),
            "CLOUD_RUN_TASK_ATTEMPT": str(task.retried),
            "CLOUD_RUN_TASK_COUNT": str(execution.task_count),
        }
        env = declared(self.cloud, container, account) | self.cloud.metadata.environment(account) | platform
        start = Start(
            title=f"sluice: {task.name.rpartition('/')[2]}",
            env=env,
            args=tuple(container.args),
            command=tuple(container.command),
            workdir=container.working_dir,
            volumes=mounts(self.cloud, account, task.volumes, container),
            staging=staging(self.cloud),
        )
        return start, container.image

    def _note(self, execution: Message, task: Message, outcome: Ended) -> None:
        """How an attempt ended: the task is over, or tried again."""
        if status.completed(task).state == RECONCILING:
            execution.running_count = max(execution.running_count - 1, 0)
            status.note_attempt(task, outcome)
            self._metrics.attempt_ended(job_of(execution.name), task.retried, outcome.ok)
        text, reason = status.said(outcome)
        if outcome.ok:
            status.ended(self.cloud, task)
            execution.succeeded_count += 1
        elif outcome.stopped == "cancelled":
            status.ended(self.cloud, task, text, reason)
            execution.cancelled_count += 1
        elif task.retried < task.max_retries:
            execution.retried_count += not task.retried
            task.retried += 1
            status.condition(self.cloud, task, "Completed", status.PENDING, text)
        else:
            status.ended(self.cloud, task, text, reason)
            execution.failed_count += 1
        self.tasks.save(task.name)
        self.executions.save(execution.name)

    def _running(self) -> Iterator[tuple[str, int]]:
        """Each execution that is not over: its job, and how many attempts run."""
        for name, run in self._runs.items():
            yield job_of(name), len(run.attempts)

    def _tell_job(self, execution: Message, count: int = 0) -> None:
        """Keep the job's word on its executions true; a job that is gone has none."""
        jobs = self.cloud.use(Jobs)
        name = job_of(execution.name)
        job = jobs.kept.get(name)
        if job is None:
            return
        job.execution_count += count
        latest = job.latest_created_execution
        if count > 0:
            latest.Clear()
            latest.name = execution.name.rpartition("/")[2]
            latest.create_time.CopyFrom(execution.create_time)
        if latest.name == execution.name.rpartition("/")[2]:
            if count < 0:
                latest.delete_time.FromNanoseconds(status.nanoseconds(self.cloud))
            latest.completion_status = status.COMPLETION[status.completion(execution)]
            if execution.HasField("completion_time"):
                latest.completion_time.CopyFrom(execution.completion_time)
        jobs.kept.save(name)

    def _answer(self, execution: Message, code: str = "ABORTED") -> None:
        """End the operation that waits for it: a failure is an error, a cancellation an answer, as on Google."""
        waiting: Mapping[str, str] | None = self.operations.get(execution.name)
        if waiting is None:
            return
        self.operations.pop(execution.name)
        error = None
        if status.completion(execution) == "EXECUTION_FAILED":
            error = ApiError(code, status.completed(execution).message)
        answer = execution
        if waiting["answer"] == "job":
            answer = self.cloud.use(Jobs).kept.get(job_of(execution.name)) or execution
        with contextlib.suppress(KeyError):  # nobody may have deleted the operation meanwhile
            self.cloud.operations.finish(waiting["operation"], None if error else answer, error, execution)

    def _log_of(self, execution: Message, task: Message) -> tuple[dict[str, Any], dict[str, str]]:
        labels = {"project_id": self.cloud.project, "location": task.name.split("/")[3], "job_name": execution.job}
        more = {
            "run.googleapis.com/execution_name": task.execution,
            "run.googleapis.com/task_index": str(task.index),
            "run.googleapis.com/task_attempt": str(task.retried),
        }
        return {"type": "cloud_run_job", "labels": labels}, more


def job_of(execution: str) -> str:
    """The name of the job that an execution is of."""
    return execution.rpartition("/executions/")[0]


def _how(outcome: Ended) -> str:
    if outcome.broken or outcome.stopped:
        return status.said(outcome)[0]
    if outcome.term_signal:
        return f"Container terminated on signal {outcome.term_signal}."
    return f"Container called exit({outcome.exit_code})."


def _found(found: Message | None, name: str, kind: str) -> Message:
    if found is None:
        _, project, _, region, *_, short = name.split("/")
        raise not_found(
            f"Resource '{short}' of kind '{kind}' in region '{region}' in project '{project}' does not exist."
        )
    return found
