"""Queues and topics as Google's are, by the retry laws of their specs: at least once, in no order, or in that of a key.

A task is tried by its queue's law and dropped without a word at its end. A topic's message waits for the one before it
with the same key, and after its last delivery goes to the dead letters. Whatever was delivered may be delivered again.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from local_cloud.engines import backoff
from tests.service_code.outer import Outer, Pushed, Task

#: Deliveries that are kept to be repeated.
KEPT = 200


@dataclass(eq=False)
class Held:
    """A task in its queue."""

    task: Task
    due: float
    attempts: int = 0
    first: float | None = None
    flying: bool = False


@dataclass(eq=False)
class Message:
    """A message of a topic."""

    pushed: Pushed
    due: float
    attempts: int = 0
    flying: bool = False


@dataclass
class Queues:
    """What waits, and what was delivered."""

    policies: dict[str, backoff.RetryPolicy]
    deliveries: int
    waiting: list[Held] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    done: list[Task] = field(default_factory=list)
    pushed: list[Pushed] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    dead_lettered: list[Pushed] = field(default_factory=list)
    attempts: int = 0

    def take_in(self, outer: Outer, now: float) -> None:
        """Take what was created and published since."""
        tasks, outer.tasks = outer.tasks, []
        self.waiting += [Held(task, max(task.scheduled or now, now)) for task in tasks]
        published, outer.published = outer.published, []
        self.messages += [Message(one, now) for one in published if one.topic == "paynow-events"]

    def due(self, now: float) -> list[Held]:
        return [held for held in self.waiting if held.due <= now and not held.flying]

    def due_messages(self, now: float) -> list[Message]:
        """The first of each key, where it is due and not under way."""
        firsts: dict[str, Message] = {}
        for message in self.messages:
            firsts.setdefault(message.pushed.ordering_key, message)
        return [one for one in firsts.values() if one.due <= now and not one.flying]

    def next_due(self, now: float) -> float | None:
        times = [held.due for held in self.waiting] + [message.due for message in self.messages]
        return min((at for at in times if at > now), default=None)

    def answered(self, held: Held, status: int, now: float) -> None:
        """What the queue does with an answer."""
        held.flying = False
        held.attempts += 1
        held.first = now if held.first is None else held.first
        self.attempts += 1
        if 200 <= status < 300:
            self.waiting.remove(held)
            self.done = [*self.done[-KEPT:], held.task]
            return
        policy = self.policies[held.task.queue]
        if backoff.exhausted(policy, held.attempts, now - held.first):
            self.waiting.remove(held)
            self.dropped[held.task.queue] += 1
            return
        held.due = now + backoff.delay(policy, held.attempts)

    def acknowledged(self, message: Message, status: int, now: float, dice: random.Random) -> None:
        """What a topic does with an answer to a push."""
        message.flying = False
        message.attempts += 1
        self.attempts += 1
        if status in (102, 200, 201, 202, 204):
            self.messages.remove(message)
            self.pushed = [*self.pushed[-KEPT:], message.pushed]
        elif message.attempts >= self.deliveries:
            self.messages.remove(message)
            self.dead_lettered.append(message.pushed)
        else:
            message.due = now + dice.uniform(10, min(600, 10 * 2**message.attempts))
