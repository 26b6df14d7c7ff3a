"""The dispatcher of Cloud Tasks: from a due task to its end.

Owns the life of tasks: waiting, attempts, what an answer leads to (done, retried, dropped), pause, purge and forced
runs, dispatch deadlines, retention. Everything that happens in time happens on the cloud's clock, so that a moved clock
moves it; the four things around it (clock, journal, client, tokens) are given from outside. Leaves alone: validation,
permissions and messages (the API's), the retry law (backoff.py), rates (bucket.py), bytes (attempt.py, outgoing.py).

Durability: a task is in the journal before its creation is answered, an attempt is counted there before its first byte
leaves, and an answer is written in the same turn in which it arrives. So a crash loses no task; what it can repeat is
an attempt whose answer came within the last commit (a millisecond or so), as at-least-once delivery allows.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from local_cloud.engines import attempt as wire
from local_cloud.engines.attempt import Outcome, Target
from local_cloud.engines.backoff import RetryPolicy, delay, exhausted
from local_cloud.engines.duplicates import Duplicates
from local_cloud.engines.inflight import Attempt, Deadlines
from local_cloud.engines.outgoing import Reply
from local_cloud.engines.ports import Carrier, Clock, Journal, SigningError, Watcher
from local_cloud.engines.queues import RETENTION, SAME, Limits, Queue
from local_cloud.engines.ramp import Ramp, RampUp
from local_cloud.engines.tasks import LastAttempt, Task

#: A used task name is refused for so long (the platform says: up to 24 hours).
NAME_KEPT = 24 * 3600.0
#: Retry-After is heeded up to one hour.
LONGEST_RETRY_AFTER = 3600.0


class Dispatcher:
    """All queues of the cloud."""

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        client: Carrier,
        watcher: Watcher,
        target_of: Callable[[Queue, Task], Target],
        authorize: Callable[[Target], str],
    ) -> None:
        self.queues: dict[str, Queue] = {}
        self.in_flight = 0
        #: Which successes are delivered twice; None: none.
        self.duplicates: Duplicates | None = None
        self._ramp_up: RampUp | None = None
        self._clock = clock
        self._journal = journal
        self._client = client
        self._watcher = watcher
        self._target_of = target_of
        self._authorize = authorize
        self._outbox: list[Attempt] = []
        self._deadlines = Deadlines(clock, self._late)

    # -- queues

    def open(self, name: str, limits: Limits, spec: Any, *, paused: bool = False, tasks: Iterable[Task] = ()) -> Queue:
        """Takes a queue, new or read back. The tasks must come in the order of their creation."""
        queue = Queue(name, limits, spec, paused=paused)
        self.queues[name] = queue
        if self._ramp_up is not None:
            self._ramp(queue, self._ramp_up)
        for task in tasks:
            queue.tasks[task.id] = task
            queue.wait(task)
        self._watch_age(queue)
        self._pump(queue)
        return queue

    def reshape(self, queue: Queue, limits: Limits) -> None:
        """Applies new settings."""
        queue.reshape(limits, self._clock.now())
        self._pump(queue)

    def ramp_up(self, law: RampUp | None) -> None:
        """Has every queue begin slowly, from its next dispatch on, or at once as fast as its settings say (None)."""
        self._ramp_up = law
        for queue in self.queues.values():
            self._ramp(queue, law)
            self._pump(queue)

    def set_paused(self, queue: Queue, paused: bool) -> None:
        """Pauses or resumes; attempts that run finish either way."""
        queue.paused = paused
        self._pump(queue)

    def purge(self, queue: Queue) -> int:
        """Removes every task that is there; those that run finish without consequences."""
        now = self._clock.now()
        tasks = list(queue.tasks.values())
        for task in tasks:
            self._remove(queue, task, now)
        self._pump(queue)
        return len(tasks)

    def close(self, queue: Queue) -> None:
        """Removes a queue with its tasks."""
        self.purge(queue)
        queue.gone = True
        del self.queues[queue.name]
        self._disarm(queue)
        if queue.age_handle is not None:
            queue.age_handle.cancel()
        if self.duplicates is not None:
            self.duplicates.forget(queue.name)

    # -- tasks

    def add(self, queue: Queue, task: Task) -> None:
        """Takes a new task; the caller waits for the journal before it answers."""
        queue.tasks[task.id] = task
        queue.wait(task)
        self._journal.save(queue.name, task)
        if queue.age_handle is None:
            self._watch_age(queue)
        self._pump(queue)

    def delete(self, queue: Queue, task: Task) -> None:
        """Removes a task that is there."""
        self._remove(queue, task, self._clock.now())
        self._pump(queue)

    def run(self, queue: Queue, task: Task) -> None:
        """Dispatches a task at once, whatever state, rate, concurrency and schedule say."""
        queue.unwait(task)
        self._start(queue, task, self._clock.now(), forced=True)

    # -- what the rest of the cloud asks

    def is_due(self) -> bool:
        """Whether any queue has a task that should be on its way already."""
        now = self._clock.now()
        return any(queue.is_due(now) for queue in self.queues.values())

    # -- the life of an attempt

    def _pump(self, queue: Queue) -> None:
        now = self._clock.now()
        if queue.slowdown.share < 1.0 and queue.slowdown.recover(now):
            queue.apply_rate(now)
        if queue.ramp is not None and queue.ramp.look(now):
            queue.apply_rate(now)
        while task := queue.take(now):
            self._start(queue, task, now, forced=False)
        self._arm(queue, math.inf if queue.gone else queue.next_event(now))

    def _arm(self, queue: Queue, when: float) -> None:
        """Sees to it that the queue is looked at by then. A timer that is set too early is left: it only looks."""
        if when < queue.wake_at:
            self._disarm(queue)
            queue.wake_at, queue.wake_handle = when, self._clock.call_at(when, lambda: self._woken(queue))

    def _disarm(self, queue: Queue) -> None:
        if queue.wake_handle is not None:
            queue.wake_handle.cancel()
        queue.wake_at, queue.wake_handle = math.inf, None

    def _woken(self, queue: Queue) -> None:
        queue.wake_at, queue.wake_handle = math.inf, None
        self._pump(queue)

    def _start(self, queue: Queue, task: Task, now: float, *, forced: bool) -> None:
        attempt = Attempt(queue, task, now, forced)
        self._begin(attempt)
        task.inflight += 1
        queue.running += attempt.counted
        task.dispatched += 1
        task.first = task.first or now
        deadline = self._prepare(attempt)
        task.last = LastAttempt(task.schedule, now)
        self._journal.save(queue.name, task)
        self._deadlines.add(now + deadline, attempt)
        self._outbox.append(attempt)
        if len(self._outbox) == 1:
            self._journal.committed(self._send)

    def _begin(self, attempt: Attempt) -> None:
        self.in_flight += 1
        attempt.work = self._clock.busy(f"attempt of queue {attempt.queue.id}")
        attempt.work.__enter__()

    def _prepare(self, attempt: Attempt) -> float:
        """Makes the bytes of an attempt; what cannot be made is a failure of the attempt. Returns its deadline."""
        target = self._target_of(attempt.queue, attempt.task)
        attempt.url, attempt.head, attempt.app_engine = target.url, target.method == "HEAD", target.app_engine
        if self.duplicates is not None and self.duplicates.chosen(attempt.queue.name, attempt.task):
            attempt.echo = target.deadline
        if target.nowhere:
            code = wire.NOT_FOUND
            attempt.failure = Outcome(0, code, f"{wire.CODE_NAMES[code]}({code}): {target.nowhere}")
            return target.deadline
        try:
            token = self._authorize(target) if target.identity else ""
            attempt.origin, attempt.request = wire.request_bytes(target, attempt.task, attempt.queue.id, token)
        except SigningError as error:
            code = wire.PERMISSION_DENIED
            attempt.failure = Outcome(0, code, f"{wire.CODE_NAMES[code]}({code}): {error}")
        except ValueError as error:
            attempt.failure = Outcome(0, 3, f"INVALID_ARGUMENT(3): {target.url}: {error}")
        return target.deadline

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        for attempt in outbox:
            if attempt.failure is not None:
                self._end(attempt, attempt.failure)
            elif not attempt.over:
                assert attempt.origin is not None
                done = partial(self._answered, attempt)
                try:
                    attempt.call = self._client.send(attempt.origin, attempt.request, done, attempt.head)
                except Exception as error:  # that attempt's failure: the others go out
                    code = wire.INTERNAL
                    self._end(attempt, Outcome(0, code, f"{wire.CODE_NAMES[code]}({code}): {error!r}"))
                if not attempt.echo:
                    attempt.request = b""

    def _answered(self, attempt: Attempt, reply: Reply) -> None:
        self._end(attempt, wire.outcome_of(reply))

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.over:
            return
        attempt.over, attempt.call = True, None
        queue, task, now = attempt.queue, attempt.task, self._clock.now()
        self.in_flight -= 1
        task.inflight -= 1
        queue.running -= attempt.counted
        status = 0 if attempt.app_engine and outcome.status == wire.TOO_MANY_REQUESTS else outcome.status
        if queue.slowdown.note(outcome.ok, status, now):
            queue.apply_rate(now)
        scheduled = task.last.schedule if task.last else attempt.at
        task.last = LastAttempt(scheduled, attempt.at, now, outcome.status, outcome.code, outcome.message)
        task.responses += bool(outcome.status)
        task.executions += wire.counts_as_execution(outcome, app_engine=attempt.app_engine)
        if not task.gone:
            self._conclude(attempt, outcome, now)
        if attempt.echo and outcome.ok:
            self._repeat(attempt, now)
        self._watcher.answered(queue, task, outcome, attempt.url)
        self._pump(queue)
        if attempt.work is not None:
            attempt.work.__exit__(None, None, None)

    def _repeat(self, attempt: Attempt, now: float) -> None:
        """Delivers what succeeded once more, byte for byte. Nothing follows from it: the task is gone."""
        again = Attempt(attempt.queue, attempt.task, now, True)
        again.origin, again.request, again.head = attempt.origin, attempt.request, attempt.head
        again.url, again.app_engine = attempt.url, attempt.app_engine
        self._begin(again)
        again.task.inflight += 1
        self._deadlines.add(now + attempt.echo, again)
        self._outbox.append(again)
        if len(self._outbox) == 1:
            self._journal.committed(self._send)

    def _ramp(self, queue: Queue, law: RampUp | None) -> None:
        queue.ramp = Ramp(law) if law is not None else None
        queue.apply_rate(self._clock.now())

    def _late(self, attempt: Attempt) -> None:
        """The dispatch deadline has passed without an answer."""
        if attempt.call is not None:
            attempt.call.cancel()
        code = wire.DEADLINE_EXCEEDED
        self._end(attempt, Outcome(0, code, f"{wire.CODE_NAMES[code]}({code}): no answer within the deadline"))

    def _conclude(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        queue, task = attempt.queue, attempt.task
        if outcome.ok:
            self._remove(queue, task, now)
            return
        policy: RetryPolicy = task.retry or queue.limits.retry
        if exhausted(policy, task.dispatched, now - task.first):
            self._give_up(queue, task, now, _limits_used(policy, task, now))
            return
        if task.inflight == 0:
            wait = max(delay(policy, task.dispatched), min(outcome.retry_after, LONGEST_RETRY_AFTER))
            task.schedule = (attempt.at if attempt.forced else now) + wait
            queue.wait(task)
        self._journal.save(queue.name, task)

    def _give_up(self, queue: Queue, task: Task, now: float, why: str) -> None:
        self._remove(queue, task, now)
        self._watcher.dropped(queue, task, why)

    def _remove(self, queue: Queue, task: Task, now: float) -> None:
        queue.unwait(task)
        task.gone = True
        del queue.tasks[task.id]
        self._journal.drop(queue.name, task, now + NAME_KEPT if task.named else 0.0)

    # -- age

    def _watch_age(self, queue: Queue) -> None:
        """One timer a queue, for the oldest task; it may fire for a task that is gone, and looks again then."""
        oldest = min((task.created for task in queue.tasks.values()), default=None)
        queue.age_handle = None
        if oldest is not None:
            queue.age_handle = self._clock.call_at(oldest + RETENTION, lambda: self._aged(queue))

    def _aged(self, queue: Queue) -> None:
        now = self._clock.now()
        for task in [task for task in queue.tasks.values() if task.created + RETENTION <= now + SAME]:
            self._give_up(queue, task, now, "it is 31 days old, and no task is kept longer")
        self._watch_age(queue)
        self._pump(queue)


def _limits_used(policy: RetryPolicy, task: Task, now: float) -> str:
    """Why a task is given up, in words."""
    parts = [f"{task.dispatched} attempts were made"]
    if policy.max_attempts >= 0:
        parts.append(f"max_attempts is {policy.max_attempts}")
    if policy.max_retry_duration > 0:
        parts.append(f"max_retry_duration is {policy.max_retry_duration:g} s and {now - task.first:.1f} s have passed")
    return ", ".join(parts)
