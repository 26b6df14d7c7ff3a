"""A task as callers see it: the stored request together with what the dispatcher knows.

Source: the v2 reference of Task.View and Attempt.
"""

from local_cloud.apis.cloud_tasks.times import put_time
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines.queues import Queue
from local_cloud.engines.tasks import Task

Stored = message("google.cloud.tasks.v2.Task")
VIEWS = enum("google.cloud.tasks.v2.Task.View")


def task_view(queue: Queue, task: Task, view: int, *, new: bool = False) -> Message:
    """The Task message: BASIC (also when unspecified) has no body; a new one is shown as before its first attempt."""
    seen = Stored.FromString(task.spec)
    seen.name = f"{queue.name}/tasks/{task.id}"
    seen.view = VIEWS["FULL"] if view == VIEWS["FULL"] else VIEWS["BASIC"]
    if view != VIEWS["FULL"]:
        getattr(seen, seen.WhichOneof("message_type") or "http_request").ClearField("body")
    put_time(seen.schedule_time, task.schedule)
    put_time(seen.create_time, float(int(task.created)))
    if new:
        return seen
    seen.dispatch_count, seen.response_count = task.dispatched, task.responses
    if task.first:
        put_time(seen.first_attempt.dispatch_time, task.first)
    if task.last is not None:
        last, shown = task.last, seen.last_attempt
        put_time(shown.schedule_time, last.schedule)
        put_time(shown.dispatch_time, last.dispatch)
        if last.response:
            put_time(shown.response_time, last.response)
            shown.response_status.code, shown.response_status.message = last.code, last.message
    return seen
