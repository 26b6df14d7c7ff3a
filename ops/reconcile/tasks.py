"""What became of a message that was sent: the task of a row of the outbox, as Cloud Tasks holds it.

A task has the name that its sender gave it, or that moves made of it, and is in its sender's queue or in one that a
move could put it into (`queues.move`). Who keeps no rows names the task of an answer after that of the question, so
that an answer on its way is found by the question's row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import spec
from ops import specs
from ops.errors import CallFailed
from ops.queues.move import moved_id, within_reach

#: What a message says whose task is nowhere any more.
GONE = "its task is gone"
#: Questions to a service that keeps nothing -> the queue of its answers.
ANSWERS = {"gchostpay-status-check-queue": "gchostpay-status-response-queue"}
#: Moves of a task that are followed: to another queue, back, and to the stable side.
MOVES = 3
#: Characters of a task's id, as the services make it.
ID = 40


class Tasks(Protocol):
    """Where Cloud Tasks is asked."""

    #: `projects/.../locations/...` of the queues.
    location: str

    def tasks(self, path: str) -> Any:
        """GET a resource."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A task that is there."""

    queue: str
    task: str
    said: str
    #: Whether it is not the task itself, but that of the answer to it.
    answer: bool
    #: When it is tried next, which a paused queue does not heed.
    next: str


def waiting(reach: Tasks, last: Mapping[str, Any]) -> Waiting | None:
    """The task of a payment's last message, or that of the answer to it; nothing where neither is there."""
    for queue, id_ in _names(str(last["queue"]), str(last["task"])):
        task = _asked(reach, queue, id_)
        if task is not None:
            return Waiting(
                queue=queue,
                task=id_,
                said=_said(task),
                answer=queue == ANSWERS.get(str(last["queue"])),
                next=task["scheduleTime"],
            )
    return None


def told(reach: Tasks, last: Mapping[str, Any]) -> str:
    """What became of it, for people."""
    found, queue = waiting(reach, last), last["queue"]
    if found is None:
        return f"{GONE} from {queue}, queued {last['sent_at'][:19]}"
    whose = "its task" if found.queue == queue else f"its task, moved from {queue},"
    whose = f"the answer to its task of {queue}" if found.answer else whose
    return f"{whose} waits in {found.queue}: {found.said}, next {found.next[:19]}"


def _said(task: Mapping[str, Any]) -> str:
    answered = (task.get("lastAttempt") or {}).get("responseStatus") or {}
    said = f", last answer {answered.get('message') or answered.get('code')}" if answered else ""
    return f"{task.get('dispatchCount', 0)} attempts{said}"


def _names(queue: str, task: str) -> Iterator[tuple[str, str]]:
    questions = _moved(task)
    yield from _places(queue, questions)
    if (answers := ANSWERS.get(queue)) is not None:
        for number, one in enumerate(questions):
            answer = hashlib.sha256(f"{answers}:{one}".encode()).hexdigest()[:ID]
            yield from _places(answers, _moved(answer)[: len(questions) - number])


def _moved(task: str) -> list[str]:
    """The names of a task after none, one and more moves."""
    names = [task]
    while len(names) <= MOVES:
        names.append(moved_id(names[-1]))
    return names


def _places(queue: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """Where a task may be: under its first name nowhere but where it was made."""
    yield queue, names[0]
    for one in names[1:]:
        yield from ((place, one) for place in (queue, *within_reach(_system(), queue)))


@cache
def _system() -> spec.System:
    return specs.load()


def _asked(reach: Tasks, queue: str, task: str) -> dict[str, Any] | None:
    try:
        return dict(reach.tasks(f"/v2/{reach.location}/queues/{queue}/tasks/{task}"))
    except CallFailed as error:
        if error.status == 404:
            return None
        raise
