"""Moving waiting tasks: to the stable side of a release in their own queue, or to another queue of the same edge.

A task cannot be changed, so it is made anew and the old one deleted after that. The new name follows from the old, so a
move that was cut short is given again: what was made is refused as existing and counts as made, and only the old one is
left to delete. A copy is never taken back, since somebody else's move may have counted on it. Receivers take a message
once, so that one whose old task is dispatched in the middle of its move costs a delivery and no payment.
Source: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create (names, schedules).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import spec
from ops.errors import BadUsage, OpsError
from ops.queues import tasks
from ops.queues.calls import Calls
from ops.queues.pace import each

#: What follows the name of a task that was moved.
MOVED = "-moved"
#: Examples that a refusal names.
SHOWN = 3
#: The longest id of a task.
LONGEST_ID = 500

#: What two queues have in common that carry the same.
SAME = ("receiver", "path", "message")
#: What a task is made of; times of creation and attempts are Cloud Tasks' own.
_KEPT = ("scheduleTime", "dispatchDeadline", "retryConfig")


@dataclass(frozen=True, kw_only=True)
class Move:
    """What is to be moved, found before anything is changed."""

    source: str
    target: str
    #: Tasks with their bodies.
    chosen: Sequence[Mapping[str, Any]]
    #: Tasks that stay: attempts of them run, or they are probes.
    running: int
    probes: int
    account: str = ""

    def carry(self, calls: Calls, *, rate: float, counts: Counter[str]) -> None:
        """Move them; `counts` says how many were moved, were moved before, and had gone by themselves."""
        each(lambda task: self._one(calls, task), self.chosen, rate=rate, counts=counts)

    def _one(self, calls: Calls, task: Mapping[str, Any]) -> str:
        made = calls.create(self.target, copy_of(task, calls.path(self.target), self.account))
        there = calls.delete(str(task["name"]))
        return ("moved" if made else "moved_before") if there else "dispatched_meanwhile"


def moved_id(task: str) -> str:
    """The id of a task after one move."""
    return task + MOVED


def copy_of(task: Mapping[str, Any], queue: str, account: str = "") -> dict[str, Any]:
    """The task as it is made anew in a queue: on the stable side in its own, as the queue's account in another."""
    name, _, called = str(task["name"]).rpartition("/tasks/")
    request = dict(task["httpRequest"])
    if name == queue:
        request["url"] = tasks.untagged(str(request["url"]))
    if token := request.get("oidcToken"):
        audience = tasks.untagged(str(token.get("audience", "")))
        request["oidcToken"] = {**token, "audience": audience, **({"serviceAccountEmail": account} if account else {})}
    kept = {field: task[field] for field in _KEPT if field in task}
    return {"name": f"{queue}/tasks/{moved_id(called)}", "httpRequest": request, **kept}


def to_stable(calls: Calls, queue: str, *, limit: int = 0) -> Move:
    """Find the tasks of a queue that are addressed to a tag, whichever."""
    return _found(calls, queue, queue, lambda task: tasks.read(task).side not in (tasks.STABLE, tasks.OTHER), limit)


def to_queue(calls: Calls, system: spec.System, source: str, target: str, *, limit: int = 0) -> Move:
    """Find all tasks of a queue for another one; refuses where that is not the same message for the same door."""
    if source == target:
        raise BadUsage(f"{source} is where they are", fix="name another queue, or --to-side stable")
    calls.queue(source)
    calls.queue(target)
    edge = _edge(system, source, target)
    found = _found(calls, source, target, lambda _: True, limit)
    if strange := [why for task in found.chosen if (why := _differs(edge, task))]:
        raise OpsError(
            f"{len(strange)} of {len(found.chosen)} tasks of {source} are not what {target} carries: "
            + "; ".join(sorted(set(strange))[:SHOWN]),
            why=f"{edge.receiver} {edge.path} would refuse them or take them for something else; nothing was moved",
            fix=f"name a queue to that receiver and path with that message; ./sluice queues tasks {source} shows them",
        )
    account = spec.names.account_email(spec.names.invoker_account_id(target), calls.place.project)
    return Move(**{**vars(found), "account": account})


def within_reach(system: spec.System, source: str) -> list[str]:
    """The other queues that a task of this one may have been moved to: of one that is not declared any more, all."""
    old = system.queues.get(source)
    return [
        name
        for name, edge in system.queues.items()
        if name != source and (old is None or all(getattr(old, what) == getattr(edge, what) for what in SAME))
    ]


def _edge(system: spec.System, source: str, target: str) -> spec.TaskQueue:
    if target not in system.queues:
        raise BadUsage(
            f"{target} is not declared in queue_configs/tasks/",
            why="nobody knows who receives what is put there",
            fix="name a queue that the specs declare",
        )
    edge, old = system.queue(target), system.queues.get(source)
    if old is not None:
        for what in SAME:
            here, there = getattr(old, what), getattr(edge, what)
            if here != there:
                raise BadUsage(
                    f"the {what} of {source} is {here}, that of {target} is {there}",
                    why="what is moved would be refused there, or be taken for something else; nothing was moved",
                    fix="name a queue with the same receiver, path and message",
                )
    return edge


def _found(calls: Calls, source: str, target: str, wanted: Any, limit: int) -> Move:
    chosen, running, probes = list[Mapping[str, Any]](), 0, 0
    for task in calls.tasks(source, full=True):
        if "httpRequest" not in task or not wanted(task):
            continue
        if tasks.is_probe(task):
            probes += 1
        elif tasks.read(task).running:
            running += 1
        else:
            chosen.append(task)
        if limit and len(chosen) == limit:
            break
    return Move(source=source, target=target, chosen=chosen, running=running, probes=probes)


def _differs(edge: spec.TaskQueue, task: Mapping[str, Any]) -> str:
    url = str(task["httpRequest"]["url"])
    service, path = tasks.service_of(url), tasks.path_of(url)
    if (service, path) != (edge.receiver, edge.path):
        return f"one goes to {service or url}{path}"
    message = str(tasks.message_of(task).get("message", edge.message))  # older messages do not say their name
    if message != edge.message:
        return f"one is a {message}"
    called = str(task["name"]).rpartition("/")[2]
    return "" if len(moved_id(called)) <= LONGEST_ID else "the name of one is too long for another move"
