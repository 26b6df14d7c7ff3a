"""The names of queues and tasks, and the service's own words where one is wrong.

Messages are Google's as recorded; those that no record covers are marked in docs/fidelity.md as our own.
"""

import re
from typing import NamedTuple

from local_cloud.descriptors import message
from local_cloud.errors import ApiError, error_info, help_link, invalid, not_found, permission_denied

REFERENCE = "https://cloud.google.com/tasks/docs/reference/rest/v2"
SERVICE = "cloudtasks.googleapis.com"
CONSOLE = "https://console.developers.google.com"

_PARENT = re.compile(r"projects/([A-Za-z0-9.:-]+)/locations/([A-Za-z0-9-]+)")
_QUEUE = re.compile(rf"({_PARENT.pattern})/queues/[A-Za-z0-9-]{{1,100}}")
_TASK = re.compile(r"(?P<queue>projects/[^/]+/locations/[^/]+/queues/[^/]+)/tasks/(?P<id>.*)", re.DOTALL)
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")


class TaskName(NamedTuple):
    """A task's full name in its two parts."""

    queue: str
    id: str


def check_parent(parent: str) -> None:
    """A location's name. A parent that is none names no project that could be used."""
    if not _PARENT.fullmatch(parent):
        project = parent.removeprefix("projects/").partition("/")[0]
        raise permission_denied(
            f"Permission denied on resource project {project}.",
            error_info(
                "CONSUMER_INVALID",
                "googleapis.com",
                {"consumer": f"projects/{project}", "containerInfo": project, "service": SERVICE},
            ),
            message("google.rpc.LocalizedMessage")(
                locale="en-US", message=f"Permission denied on resource project {project}."
            ),
            help_link("Google developers console", CONSOLE),
        )


def check_queue_name(name: str, parent: str) -> None:
    """The name of a queue that is to be created below a parent."""
    match = _QUEUE.fullmatch(name)
    if not match:
        raise invalid(
            'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".',
            help_link("Definition of queue name", f"{REFERENCE}/projects.locations.queues#Queue.FIELDS.name"),
        )
    if match[1] != parent:
        raise invalid(f"{name} must begin with {parent}.")


def parent_of(queue: str) -> str:
    """The location that a queue is in."""
    return queue.partition("/queues/")[0]


def split_task(name: str) -> TaskName | None:
    """A task's name in its parts, or None when it is no task's name."""
    match = _TASK.fullmatch(name)
    return TaskName(match["queue"], match["id"]) if match and _TASK_ID.fullmatch(match["id"]) else None


def check_task_name(name: str, queue: str) -> str:
    """The id in the name that a caller gave to a new task."""
    match = _TASK.fullmatch(name)
    if not match:
        raise invalid(
            "Task name must be formatted: "
            '"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>/tasks/<TASK_ID>"',
            _task_help(),
        )
    if match["queue"] != queue:
        raise invalid(
            f"The queue name from request ('{queue}') must be the same as the queue name in the named task "
            f"('{match['queue']}')."
        )
    if not _TASK_ID.fullmatch(match["id"]):
        raise invalid(
            f'Task ID "{match["id"]}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), '
            "or underscores (_). Task ID must between 1 and 500 characters.",
            _task_help(),
        )
    return match["id"]


def no_queue() -> ApiError:
    """A queue that is not there, whether it never was or was deleted."""
    return not_found(
        "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
    )


def no_task(*, recently: bool = False) -> ApiError:
    """A task that is not there; `recently` when one of the name was."""
    if recently:
        return not_found(
            "The task no longer exists, though a task with this name existed recently. "
            "The task either successfully completed or was deleted."
        )
    return not_found("Requested entity was not found.")


def no_queue_to_delete() -> ApiError:
    """DeleteQueue has shorter words than all others."""
    return not_found("Requested entity was not found.")


def no_account(email: str) -> ApiError:
    """A service account that is not there, of a task that is to carry its token; the words are ours."""
    return not_found(
        f"Service account {email} does not exist: a task cannot carry its token. Create the account, or name another "
        "one as serviceAccountEmail."
    )


def _task_help() -> object:
    return help_link("Definition of task ID", f"{REFERENCE}/projects.locations.queues.tasks#Task.FIELDS.name")


def lacks(permission: str, resource: str) -> str:
    """A missing permission in Cloud Tasks' words."""
    return (
        f'The principal (user or service account) lacks IAM permission "{permission}" for the resource "{resource}" '
        "(or the resource may not exist)."
    )
