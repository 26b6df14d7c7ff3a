"""Payments of both ways to pay out, sent at a rate until somebody says that it is enough, and seen to their ends."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench import _flows as flows
from tests.payments.hops import id_of
from tests.payments.judge import judge
from tests.payments.stack import Stack

#: The clock is moved by so many seconds at a time, so often at most, until all are at their end: five minutes for what
#: is sent anew within its minute, then a day for staged payouts whose window must pass before they are called dead.
STEPS = (*([30.0] * 14), *([3600.0] * 25), *([120.0] * 4))

#: Payments that wait for an operator.
DEAD = "SELECT unique_id AS id FROM failed_transactions WHERE status = 'dead' AND unique_id = ANY($1)"


@dataclass
class Load:
    """An open loop of payments; `ways` in turns."""

    stack: Stack
    rate: float
    ways: tuple[str, ...] = ("single", "staged")
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None

    def start(self, most: int) -> None:
        """Send in the background, `most` at most."""
        self._enough.clear()
        self._thread = threading.Thread(target=self._send, args=(most,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more; back when all that was sent is answered."""
        self._enough.set()
        self.wait()

    def wait(self) -> None:
        """Until the last is answered."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failed is not None:
            raise self._failed

    @property
    def going(self) -> bool:
        """Whether it sends."""
        return self._thread is not None and self._thread.is_alive()

    def _send(self, most: int) -> None:
        try:
            began, ways = time.monotonic(), self._ways()
            with ThreadPoolExecutor(16) as pool:
                waiting = []
                for number in range(most):
                    if self._enough.wait(max(0.0, began + number / self.rate - time.monotonic())):
                        break
                    waiting.append(pool.submit(self._one, next(ways)))
                for one in waiting:
                    one.result()
        except BaseException as error:
            self._failed = error

    def _ways(self) -> Iterator[str]:
        return itertools.cycle(self.ways)

    def _one(self, way: str) -> None:
        (payment,) = self.stack.send(amount=flows.PAID["eth"], count=1, unique_ids=[id_of(way)], wait=True)
        self.sent.append(payment["unique_id"])


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What became of payments once nothing was left to do, and how far the clock was moved until then."""

    completed: int
    moved: float
    dead: int
    replayed: int
    completed_after_replay: int
    differences: list[str]


def settle(stack: Stack, sent: list[str]) -> Settled:
    """Move the clock until each payment is paid or dead, replay the dead, and judge everything from outside."""
    moved, completed, dead = at_rest(stack, sent)
    replayed = stack.json("dead", "replay", "--all", "--yes")["replayed"] if dead else 0
    again = at_rest(stack, sent)[1] if dead else completed
    stack.exchanged()
    stack.idle()
    return Settled(
        completed=completed,
        moved=moved,
        dead=dead,
        replayed=replayed,
        completed_after_replay=again,
        differences=judge(stack.sandbox, stack.chain, stack.dsn).differences,
    )


def at_rest(stack: Stack, sent: list[str]) -> tuple[float, int, int]:
    """How far the clock was moved until all were at an end; how many are completed, and how many dead."""
    moved = 0.0
    for step in (0.0, *STEPS):
        if step:
            stack.advance(step)
            moved += step
        stack.idle(timeout=120)
        completed = flows.finished(stack, sent)
        dead = {row["id"] for row in stack.sql(DEAD, sent)} - completed
        if len(completed) + len(dead) == len(sent):
            break
    return moved, len(completed), len(dead)
