"""How executions and tasks of jobs look as they come and go: their messages, conditions and counts.

Owns shapes and words; what happens and when is executions.py's. The words of conditions are those that `gcloud run jobs
executions describe` shows of the real service.
Source: google/cloud/run/v2/{execution,task,condition}.proto.
"""

import uuid

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines.batch import Ended
from local_cloud.run.services import FAILED, STATES, SUCCEEDED
from local_cloud.secrets import stamp

EXECUTION, TASK = "google.cloud.run.v2.Execution", "google.cloud.run.v2.Task"
PENDING, RECONCILING = STATES["CONDITION_PENDING"], STATES["CONDITION_RECONCILING"]
REASONS = enum("google.cloud.run.v2.Condition.ExecutionReason")
COMPLETION = enum("google.cloud.run.v2.ExecutionReference.CompletionStatus")
_SHARED = ("containers", "volumes", "timeout", "vpc_access", "node_selector")
_PLAIN = ("service_account", "execution_environment", "encryption_key")


def new_execution(cloud: Cloud, job: Message, template: Message, execution_id: str, creator: str) -> Message:
    """An execution as it is acknowledged."""
    made = message(EXECUTION)(name=f"{job.name}/executions/{execution_id}", job=job.name.rpartition("/")[2])
    made.uid, made.creator, made.generation, made.launch_stage = str(uuid.uuid4()), creator, 1, job.launch_stage
    made.labels.update(template.labels)
    made.annotations.update(template.annotations)
    made.parallelism, made.task_count = template.parallelism, template.task_count
    made.template.CopyFrom(template.template)
    made.reconciling = True
    for field in (made.create_time, made.update_time):
        field.FromNanoseconds(nanoseconds(cloud))
    made.log_uri = f"{cloud.rest_url}/v2/entries:list"
    condition(cloud, made, "Completed", RECONCILING)
    stamp(made)
    return made


def task_name(execution: str, index: int) -> str:
    """What an execution's task is called."""
    return f"{execution}/tasks/{execution.rpartition('/')[2]}-task{index}"


def new_task(cloud: Cloud, execution: Message, index: int) -> Message:
    """A task that waits for its turn."""
    execution_id = execution.name.rpartition("/")[2]
    made = message(TASK)(name=task_name(execution.name, index), job=execution.job, index=index)
    made.execution, made.uid, made.generation = execution_id, str(uuid.uuid4()), 1
    made.labels.update(execution.labels)
    made.annotations.update(execution.annotations)
    template = execution.template
    for field in _SHARED:
        value = getattr(template, field)
        if field in ("containers", "volumes"):
            getattr(made, field).extend(value)
        elif template.HasField(field):
            getattr(made, field).CopyFrom(value)
    for field in _PLAIN:
        setattr(made, field, getattr(template, field))
    if template.HasField("gpu_zonal_redundancy_disabled"):
        made.gpu_zonal_redundancy_disabled = template.gpu_zonal_redundancy_disabled
    made.max_retries, made.reconciling = template.max_retries, True
    for field in (made.create_time, made.update_time, made.scheduled_time):
        field.FromNanoseconds(nanoseconds(cloud))
    made.log_uri = execution.log_uri
    condition(cloud, made, "Completed", PENDING)
    stamp(made)
    return made


def nanoseconds(cloud: Cloud) -> int:
    """The cloud's time as timestamps carry it."""
    return int(cloud.now() * 1_000_000) * 1000


def condition(cloud: Cloud, of: Message, kind: str, state: int, *said: str) -> None:
    """Set one condition of an execution or a task: its state, and what is said of it, with the name of a reason."""
    found = next((c for c in of.conditions if c.type == kind), None)
    if found is None:
        found = of.conditions.add(type=kind)
    found.Clear()
    text, reason = (*said, "", "")[:2]
    found.type, found.state, found.message = kind, state, text
    found.last_transition_time.FromNanoseconds(nanoseconds(cloud))
    if reason:
        found.execution_reason = REASONS[reason]


def completed(of: Message) -> Message:
    """The condition that says whether it is over, and how."""
    return next(c for c in of.conditions if c.type == "Completed")


def over(of: Message) -> bool:
    """Whether it has ended."""
    return bool(completed(of).state in (SUCCEEDED, FAILED))


def started(cloud: Cloud, of: Message, what: str) -> None:
    """It has got its first container."""
    if not of.HasField("start_time"):
        of.start_time.FromNanoseconds(nanoseconds(cloud))
        waited = (of.start_time.ToNanoseconds() - of.create_time.ToNanoseconds()) / 1e9
        condition(cloud, of, "ContainerReady", SUCCEEDED, "Imported container image.")
        condition(cloud, of, "ResourcesAvailable", SUCCEEDED, "Provisioned imported containers.")
        condition(cloud, of, "Started", SUCCEEDED, f"Started deployed {what} in {waited:.2f}s.")


def ended(cloud: Cloud, of: Message, text: str = "", reason: str = "") -> None:
    """It is over: well without a text, otherwise for that reason."""
    condition(cloud, of, "Completed", FAILED if text else SUCCEEDED, text, reason)
    of.completion_time.FromNanoseconds(nanoseconds(cloud))
    of.update_time.CopyFrom(of.completion_time)
    of.reconciling, of.observed_generation = False, of.generation
    stamp(of)


def said(outcome: Ended) -> tuple[str, str]:
    """What the condition of a task says of an attempt that failed, and the reason's name."""
    if outcome.broken:
        return outcome.broken, "JOB_STATUS_SERVICE_POLLING_ERROR"
    if outcome.stopped == "timeout":
        return "The configured timeout was reached.", "NON_ZERO_EXIT_CODE"
    if outcome.stopped:
        return "The task was cancelled.", "CANCELLED"
    return "The container exited with an error.", "NON_ZERO_EXIT_CODE"


def note_attempt(task: Message, outcome: Ended) -> None:
    """Keep how the last attempt ended."""
    result = task.last_attempt_result
    result.Clear()
    result.exit_code, result.term_signal = outcome.exit_code, outcome.term_signal
    result.status.SetInParent()
    if not outcome.ok:
        result.status.code = 4 if outcome.stopped == "timeout" else 1 if outcome.stopped else 10
        result.status.message = said(outcome)[0]


def recount(execution: Message, tasks: list[Message]) -> None:
    """Make the counts what the tasks say."""
    states = [completed(task) for task in tasks]
    cancelled = [c for c in states if c.state == FAILED and c.execution_reason == REASONS["CANCELLED"]]
    execution.succeeded_count = sum(c.state == SUCCEEDED for c in states)
    execution.failed_count = sum(c.state == FAILED for c in states) - len(cancelled)
    execution.cancelled_count = len(cancelled)
    execution.running_count = sum(c.state == RECONCILING for c in states)
    execution.retried_count = sum(task.retried > 0 for task in tasks)


def completion(execution: Message) -> str:
    """The name of the status by which the job refers to its latest execution."""
    done = completed(execution)
    if done.state == SUCCEEDED:
        return "EXECUTION_SUCCEEDED"
    if done.state == FAILED:
        return "EXECUTION_CANCELLED" if done.execution_reason == REASONS["CANCELLED"] else "EXECUTION_FAILED"
    return "EXECUTION_RUNNING" if execution.HasField("start_time") else "EXECUTION_PENDING"
