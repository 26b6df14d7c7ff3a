"""Cloud Tasks as an operator calls it: queues and tasks of one place, with refusals that say what is missing.

Owns paging, what a refusal becomes, and how often a call that was put off is tried again: what is answered 429 was not
done. Leaves what to call to the verbs.
Sources: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues and .tasks,
https://cloud.google.com/tasks/docs/access-control (permissions and roles),
https://cloud.google.com/tasks/docs/quotas (429 RESOURCE_EXHAUSTED).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from ops import rest
from ops.errors import BadUsage, CallFailed, OpsError
from ops.place import Place
from spec.errors import choose

#: The largest page of ListTasks and of ListQueues.
PAGE = 1000
#: Seconds before a call that was put off is tried again, the second time and so on.
AGAIN: Final = (1.0, 2.0, 4.0, 8.0)
#: Permission -> a role of Google's that has it; all are in roles/cloudtasks.admin.
ROLES: Final[Mapping[str, str]] = {
    "cloudtasks.queues.get": "cloudtasks.viewer",
    "cloudtasks.queues.list": "cloudtasks.viewer",
    "cloudtasks.tasks.get": "cloudtasks.viewer",
    "cloudtasks.tasks.list": "cloudtasks.viewer",
    "cloudtasks.tasks.create": "cloudtasks.enqueuer",
    "cloudtasks.tasks.fullView": "cloudtasks.enqueuer",
    "cloudtasks.tasks.run": "cloudtasks.taskRunner",
    "cloudtasks.tasks.delete": "cloudtasks.taskDeleter",
    "cloudtasks.queues.pause": "cloudtasks.queueAdmin",
    "cloudtasks.queues.resume": "cloudtasks.queueAdmin",
    "cloudtasks.queues.purge": "cloudtasks.queueAdmin",
    "iam.serviceAccounts.actAs": "iam.serviceAccountUser",
}
#: What waits between two tries; tests move a clock instead.
pause = time.sleep

_PERMISSION = re.compile(r"\b((?:cloudtasks|iam)\.[A-Za-z]+\.[A-Za-z]+)\b")


class Refused(OpsError):
    """Cloud Tasks refuses a call, with the permission that is missing or the limit that is met."""


class Calls:
    """Cloud Tasks of one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def path(self, queue: str) -> str:
        """A queue's full name."""
        return f"{self.place.parent}/queues/{queue}"

    def queue(self, name: str) -> dict[str, Any]:
        """One queue; BadUsage with the nearest name where there is none."""
        try:
            return dict(self._call("GET", self.path(name)))
        except CallFailed as error:
            if error.status != 404:
                raise
            raise self._no_queue(name) from error

    def queues(self) -> dict[str, dict[str, Any]]:
        """All queues that are there, by name."""
        found = self._pages(f"{self.place.parent}/queues", "queues", {"pageSize": PAGE})
        return {str(one["name"]).rpartition("/")[2]: one for one in found}

    def states(self) -> dict[str, str]:
        """The state of every queue that is there, by name: RUNNING, PAUSED or DISABLED."""
        return {name: str(queue.get("state", "RUNNING")) for name, queue in sorted(self.queues().items())}

    def tasks(self, queue: str, *, full: bool = False, page: int = PAGE) -> Iterator[dict[str, Any]]:
        """A queue's tasks as they are listed, in no order of time; bodies only with `full`."""
        query = {"pageSize": page, **({"responseView": "FULL"} if full else {})}
        return self._pages(f"{self.path(queue)}/tasks", "tasks", query)

    def first(self, queue: str) -> tuple[list[dict[str, Any]], bool]:
        """The first page of a queue's tasks, and whether there are more."""
        answer = self._call("GET", f"{self.path(queue)}/tasks", query={"pageSize": PAGE})
        return list(answer.get("tasks", ())), bool(answer.get("nextPageToken"))

    def create(self, queue: str, task: Mapping[str, Any]) -> bool:
        """Create a task under its name; False where the name was taken, so that it had been made before."""
        try:
            self._call("POST", f"{self.path(queue)}/tasks", {"task": task})
        except CallFailed as error:
            if error.status == 409 and _status(error.body) != "ABORTED":  # that is 409 too, and made nothing
                return False
            if error.status == 404:
                raise Refused(
                    f"{queue} takes no task: {rest.reason(error.body)}",
                    why="what was to be put there stays where it is",
                    fix="./sluice queues list shows what is there; a queue that is new takes a minute",
                ) from error
            raise
        return True

    def delete(self, task: str) -> bool:
        """Delete a task by its full name; False where it was gone."""
        return self._unless_gone("DELETE", task)

    def run(self, task: str) -> bool:
        """Have a task dispatched now, whatever its queue and its schedule say; False where it was gone."""
        return self._unless_gone("POST", f"{task}:run", {})

    def steer(self, queue: str, verb: str) -> None:
        """Pause, resume or purge a queue."""
        self._call("POST", f"{self.path(queue)}:{verb}", {})

    def _unless_gone(self, method: str, path: str, body: Any = None) -> bool:
        try:
            self._call(method, path, body)
        except CallFailed as error:
            if error.status != 404:
                raise
            return False
        return True

    def _pages(self, path: str, field: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            try:
                answer = self._call("GET", path, query={**query, **({"pageToken": token} if token else {})})
            except CallFailed as error:
                if error.status == 404 and field == "tasks":
                    raise self._no_queue(path.split("/")[-2]) from error
                raise
            yield from answer.get(field, ())
            token = answer.get("nextPageToken", "")
            if not token:
                return

    def _no_queue(self, name: str) -> OpsError:
        return BadUsage(
            f"there is no queue {name!r} in {self.place.parent}",
            why="nothing was done",
            fix=choose(name, self.queues(), noun="queue"),
        )

    def _call(self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None) -> Any:
        for wait in (*AGAIN, None):
            try:
                return self.place.call("tasks", method, quote(path, safe="/:"), body, query=query)
            except CallFailed as error:
                if error.status == 403:
                    raise _forbidden(error) from error
                if error.status != 429:
                    raise
                if wait is None:
                    raise Refused(
                        f"Cloud Tasks puts the calls off: {rest.reason(error.body)}",
                        why="a quota of the project is used up; what was done stays done",
                        fix="wait a minute and give the command again, with a lower --rate where it has one",
                    ) from error
            pause(wait)
        raise AssertionError  # the last round returns or raises


def _forbidden(error: CallFailed) -> Refused:
    said = rest.reason(error.body)
    found = _PERMISSION.search(said) or _PERMISSION.search(error.body)
    permission = found[1] if found else ""
    role = ROLES.get(permission, "cloudtasks.admin")
    return Refused(
        f"you may not do this: {said}",
        why=f"the permission {permission} is missing" if permission else "a permission of Cloud Tasks is missing",
        fix=f"roles/{role} has it; what was done stays done, and the command goes on from there",
    )


def _status(body: str) -> str:
    try:
        return str(json.loads(body)["error"]["status"])
    except (ValueError, KeyError, TypeError):
        return ""
