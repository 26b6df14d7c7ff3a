"""The cloud's time: a clock that can be moved, its timers, and who is still at work.

The offset from the machine's clock lives in `DIR/clock` (8 bytes, little-endian float64), which services map to
follow it; it survives a restart. Moving goes from timer to timer and lets the work that each one starts come to rest
before the next, so that nothing is jumped over. Work that does not end is waited for only so long in real time: then
the clock goes on, so that deadlines of that work fire. Timers are not kept: whoever sets one sets it again at start.
"""

import asyncio
import datetime
import heapq
import inspect
import itertools
import mmap
import os
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from local_cloud.store import StateError

#: The longest single move: a hundred years.
LONGEST_MOVE = 100 * 365.25 * 24 * 3600
#: The clock never reads more than this: times of Google's APIs end with the year 9999, and keys outlive the clock.
LATEST = datetime.datetime(9000, 1, 1, tzinfo=datetime.UTC).timestamp()
#: How long (real seconds) idle waits, and a step of a move at most when new work comes and comes.
SETTLE_SECONDS = 30.0
#: How long (real seconds) a move waits for one piece of work in flight before it goes on without it, and says so.
WAIT_SECONDS = 10.0
#: Work of a name that was not waited for gets half the time from then on, down to this share: a target that hangs
#: hangs at every retry.
LEAST_SHARE = 0.1
#: Turns of the event loop without work after which the cloud counts as at rest.
QUIET_TURNS = 5
#: Timers are looked through for those that were taken back when there are so many, then when they have doubled.
MANY = 1024


class ClockError(ValueError):
    """The clock cannot be moved like that."""


class Timer:
    """A call that is due at a time of the cloud's clock."""

    __slots__ = ("fn", "when")

    def __init__(self, when: float, fn: Callable[[], object] | None) -> None:
        self.when = when
        self.fn = fn

    def cancel(self) -> None:
        """Takes the call back; harmless when it has run."""
        self.fn = None


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did: the new time, timers fired, and the work, by name, that it went on without."""

    now: float
    offset: float
    fired: int
    unsettled: dict[str, int]
    #: It was stopped on its way, and stands before its goal.
    stopped: bool = False


class _Work:
    """One piece of work in flight; `left`: the move that goes on waits for it no longer."""

    __slots__ = ("_clock", "left", "since", "what")

    def __init__(self, clock: "Clock", what: str) -> None:
        self._clock = clock
        self.what = what
        self.since = 0.0
        self.left = False

    def __enter__(self) -> None:
        self.since = time.monotonic()
        self._clock._begun(self)

    def __exit__(self, *_: object) -> None:
        self._clock._done(self)


class Clock:
    """now(), timers and the registry of work in flight. One per cloud, used from its event loop only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists() or path.stat().st_size != 8:
            path.write_bytes(struct.pack("<d", 0.0))
        self._file = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(self._file, 8)
        self._offset: float = struct.unpack_from("<d", self._map)[0]
        if not 0 <= self._offset <= LATEST - time.time():
            self._map.close()
            os.close(self._file)
            raise StateError(
                f"{path} says that the clock is {self._offset:g} seconds ahead, which no move makes it (it ends with "
                "the year 8999). Nothing was changed: remove that file to go on at this machine's time, or give "
                "another --state."
            )
        self._heap: list[tuple[float, int, Timer]] = []
        self._many = MANY
        self._serial = itertools.count()
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at = float("inf")
        self._work: set[_Work] = set()
        self._left = 0
        self._rest = asyncio.Event()
        self._tasks: set[asyncio.Future[object]] = set()
        self._moving = asyncio.Lock()
        self._move: _Move | None = None
        self.fired = 0
        #: Called when the clock has been moved, before what is due then.
        self.passed: list[Callable[[], None]] = []
        #: Asked by a move for times at which it should stop on its way, though no timer is due; None for none.
        self.stops: list[Callable[[], float | None]] = []

    @property
    def offset(self) -> float:
        """Seconds ahead of the machine's clock."""
        return self._offset

    @property
    def url(self) -> str:
        """How services are told of the file."""
        return self.path.resolve().as_uri()

    def now(self) -> float:
        """The cloud's time in epoch seconds."""
        return time.time() + self._offset

    def call_at(self, when: float, fn: Callable[[], object]) -> Timer:
        """Calls `fn` when the clock reads `when`; a coroutine that it returns is run as work in flight."""
        if len(self._heap) >= self._many:
            self._heap = [entry for entry in self._heap if entry[2].fn is not None]
            heapq.heapify(self._heap)
            self._many = max(MANY, 2 * len(self._heap))
        timer = Timer(when, fn)
        heapq.heappush(self._heap, (when, next(self._serial), timer))
        if when < self._wake_at:
            self._arm()
        return timer

    def call_later(self, seconds: float, fn: Callable[[], object]) -> Timer:
        """call_at, counted from now."""
        return self.call_at(self.now() + seconds, fn)

    def busy(self, what: str) -> AbstractContextManager[None]:
        """Marks work in flight: a move of the clock waits for it."""
        return _Work(self, what)

    def spawn(self, work: Awaitable[object], what: str = "work") -> None:
        """Runs a coroutine in the background as work in flight."""

        async def run() -> object:
            with self.busy(what):
                return await work

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def in_flight(self) -> dict[str, int]:
        """What is at work now, by name."""
        return dict(Counter(work.what for work in self._work))

    def next_due(self) -> float | None:
        """When the next timer is due."""
        while self._heap and self._heap[0][2].fn is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    async def settle(self, timeout: float = SETTLE_SECONDS) -> bool:
        """Waits until nothing is in flight and nothing is due; False when `timeout` real seconds were not enough."""
        deadline = time.monotonic() + timeout
        quiet = 0
        while quiet < QUIET_TURNS:
            due = self.next_due()
            if self._work:
                quiet = 0
                if not await self._rests(deadline):
                    return False
            elif due is not None and due <= self.now():
                quiet = 0
                if time.monotonic() > deadline:
                    return False
                self._run_due()
            else:
                quiet += 1
            await asyncio.sleep(0)
        return True

    async def advance(self, seconds: float, wait: float = WAIT_SECONDS) -> Moved:
        """Moves the clock, stepping from timer to timer; `wait`: real seconds for each piece of work in flight."""
        if not seconds >= 0 or seconds == float("inf"):
            raise ClockError(
                f"The clock cannot be moved by {seconds} seconds: what has happened (tokens issued, tasks "
                "dispatched) would lie in the future. Give a number of seconds from 0 on; for an earlier time start "
                "a cloud with a fresh state."
            )
        if seconds > LONGEST_MOVE:
            raise ClockError(
                f"The clock cannot be moved by {seconds:g} seconds at once, and was not moved: the most is 100 years "
                f"({LONGEST_MOVE:.0f} seconds)."
            )
        async with self._moving:
            if self.now() + seconds > LATEST:
                raise ClockError(
                    f"The clock cannot be moved by {seconds:g} seconds, and was not moved: it would pass the end of "
                    "the year 8999, and times of Google's APIs end with 9999. Start a cloud with a fresh state."
                )
            goal = self._offset + seconds
            before = self.fired
            move = self._move = _Move(wait, goal)
            for work in self._work:
                work.left = False
            self._left = 0
            try:
                await self._go(move)
            finally:
                self._move = None
            unsettled = dict(sorted(move.unsettled.items()))
            return Moved(self.now(), self._offset, self.fired - before, unsettled, move.stopped)

    def heading_for(self) -> float | None:
        """The offset that a move under way will end with; None where none is under way."""
        return self._move.goal if self._move else None

    def stop(self) -> bool:
        """Ends the move under way where the clock stands now; False where none is under way."""
        if self._move is None:
            return False
        self._move.stopped = True
        self._rest.set()
        return True

    async def _go(self, move: "_Move") -> None:
        while True:
            await self._step(move)
            due = self._next_step()
            if move.stopped or due is None or due - time.time() > move.goal:
                break
            self._set_offset(max(self._offset, due - time.time()))
            self._run_due()
        if not move.stopped:
            self._set_offset(move.goal)
            await self._step(move)

    def _next_step(self) -> float | None:
        """Where a move goes next: to a timer, or to where somebody wants it to stop."""
        wanted = [when for stop in self.stops if (when := stop()) is not None and when > self.now()]
        due = self.next_due()
        return min([*wanted, due]) if due is not None else min(wanted, default=None)

    def close(self) -> None:
        """Stops the timers and lets go of the file."""
        if self._wake:
            self._wake.cancel()
        self._heap.clear()
        for task in self._tasks:
            task.cancel()
        self._map.close()
        os.close(self._file)

    def _begun(self, work: _Work) -> None:
        self._work.add(work)

    def _done(self, work: _Work) -> None:
        self._work.discard(work)
        self._left -= work.left
        if len(self._work) == self._left:
            self._rest.set()

    async def _rests(self, until: float) -> bool:
        """Waits for the end of what is in flight (or, in a move, of what is still waited for)."""
        self._rest.clear()
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._rest.wait()
        except TimeoutError:
            return False
        return True

    async def _step(self, move: "_Move") -> None:
        """Waits until nothing is due and nothing in flight but what the move goes on without."""
        last = time.monotonic() + max(SETTLE_SECONDS, move.wait)
        quiet = 0
        while quiet < QUIET_TURNS and not move.stopped:
            due = self.next_due()
            if len(self._work) > self._left:
                quiet = 0
                waited_for = [work for work in self._work if not work.left]
                until = min(last, max(move.until(work) for work in waited_for))
                if not await self._rests(until):
                    now = time.monotonic()
                    late = [work for work in waited_for if work in self._work and min(last, move.until(work)) <= now]
                    for work in late:
                        work.left = True
                    self._left += len(late)
                    move.go_on_without(late)
            elif due is not None and due <= self.now():
                quiet = 0
                if time.monotonic() > last:
                    move.unsettled["timer"] += 1
                    return
                self._run_due()
            else:
                quiet += 1
            await asyncio.sleep(0)

    def _set_offset(self, offset: float) -> None:
        self._offset = offset
        struct.pack_into("<d", self._map, 0, offset)
        for passed in self.passed:
            passed()
        self._arm()

    def _arm(self) -> None:
        due = self.next_due()
        if self._wake:
            self._wake.cancel()
            self._wake = None
        self._wake_at = float("inf") if due is None else due
        if due is not None:
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(max(0.0, due - self.now()), self._run_due)

    def _run_due(self) -> None:
        now = self.now()
        # Only what was due when we came: a timer that sets itself again at once must not hold the loop.
        for _ in range(len(self._heap)):
            due = self.next_due()
            if due is None or due > now:
                break
            fn = heapq.heappop(self._heap)[2].fn
            if fn is None:
                continue
            self.fired += 1
            try:
                result = fn()
            except Exception as error:  # a broken timer must not stop the others
                loop = asyncio.get_running_loop()
                loop.call_exception_handler({"message": "A timer of the local cloud failed", "exception": error})
                continue
            if inspect.isawaitable(result):
                self.spawn(result, "timer")
        self._arm()

    def _ended(self, task: "asyncio.Future[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "Work of the local cloud failed", "exception": error})


class _Move:
    """Where one move goes, how long it waits for what, and what it went on without."""

    def __init__(self, wait: float, goal: float) -> None:
        self.wait = wait
        self.goal = goal
        self.stopped = False
        self.began = time.monotonic()
        self.unsettled: Counter[str] = Counter()
        self._shares: dict[str, float] = {}

    def until(self, work: _Work) -> float:
        """When the waiting for this work ends (monotonic)."""
        return max(work.since, self.began) + self.wait * self._shares.get(work.what, 1.0)

    def go_on_without(self, late: list[_Work]) -> None:
        """Notes work whose time is over."""
        self.unsettled.update(work.what for work in late)
        for name in {work.what for work in late}:
            self._shares[name] = max(LEAST_SHARE, self._shares.get(name, 1.0) / 2)
