"""When jobs fire, and when a failed attempt is tried again: the law behind apis/scheduler.py, by the cloud's clock.

Moving the clock fires what falls due on the way. The backoff is that of engines/backoff.py. What runs, waits to be
tried again or waits for the execution before it is kept, so that a stop costs at most a second attempt, never an
execution; a firing that fell due while the cloud was down is made up once at its start. An execution that is due while
the one before still runs begins when that one ends; a retry that is due after the next firing gives way to it.
Source: Job.schedule and RetryConfig in google/cloud/scheduler/v1/job.proto.
"""

from dataclasses import asdict, dataclass
from functools import partial

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.engines.backoff import RetryPolicy, delay, exhausted
from local_cloud.engines.cron import parse
from local_cloud.schedules import told
from local_cloud.schedules.sending import Sender

JOB = "google.cloud.scheduler.v1.Job"
STATES = enum(f"{JOB}.State")


@dataclass(frozen=True)
class Run:
    """One execution: the time that it is for, the attempt that is next or under way, and when the first one began."""

    due: float
    number: int
    first: float
    at: float


class Jobs:
    """All jobs of the project, the timers of those that are enabled, and the executions that are not over."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.kept = cloud.store.messages("scheduler.jobs", JOB)
        self._runs = cloud.store.json("scheduler.runs")
        self._timers: dict[str, Timer] = {}
        self._retries: dict[str, Timer] = {}
        self._running: dict[str, int] = {}
        #: Firings that wait for the execution before them, by job: the time that each is for.
        self._delayed = cloud.store.json("scheduler.delayed")
        self._sender = Sender(cloud)
        self._stopped = False

    def start(self) -> None:
        """Set the timers of what was kept."""
        now = self._cloud.now()
        for name, job in self.kept.items():
            if job.state == STATES["ENABLED"]:
                self._timers[name] = self._cloud.clock.call_at(_seconds(job.schedule_time), partial(self._fire, name))
        for name, kept in self._runs.items():
            job = self.kept.get(name)
            if job is None or (job.HasField("schedule_time") and _seconds(job.schedule_time) <= now):
                self._runs.pop(name)  # what was missed takes over
                self._delayed.pop(name)
            else:
                self._wait(name, Run(**kept))

    def stop(self) -> None:
        """Drop connections; attempts that are cut off are made again after the next start."""
        self._stopped = True
        self._sender.close()

    def plan(self, name: str) -> None:
        """Set a job's next firing, or none where it is not enabled."""
        if timer := self._timers.pop(name, None):
            timer.cancel()
        job = self.kept.get(name)
        if job is None:
            return
        due = parse(job.schedule, job.time_zone).next_after(self._cloud.now())
        if job.state != STATES["ENABLED"] or due is None:
            job.ClearField("schedule_time")
        else:
            job.schedule_time.FromNanoseconds(int(due * 1e9))
            self._timers[name] = self._cloud.clock.call_at(due, partial(self._fire, name))
        self.kept.save(name)

    def let_go(self, name: str) -> None:
        """No more attempts of executions that have begun: the job was changed, paused or deleted."""
        if timer := self._retries.pop(name, None):
            timer.cancel()
        self._delayed.pop(name)
        if name not in self._running:
            self._runs.pop(name)

    def run(self, name: str) -> None:
        """An execution now, outside the schedule and beside one that runs (RunJob), without waiting for its end.

        It takes the place of retries that are pending.
        """
        if timer := self._retries.pop(name, None):
            timer.cancel()
        now = self._cloud.now()
        self._begin(name, Run(now, 1, now, now))

    def _fire(self, name: str) -> None:
        job = self.kept.get(name)
        if job is None or job.state != STATES["ENABLED"]:
            return
        due = _seconds(job.schedule_time)
        self.plan(name)
        if timer := self._retries.pop(name, None):
            timer.cancel()
        if name in self._running:
            self._delayed[name] = due
        else:
            now = self._cloud.now()
            self._begin(name, Run(due, 1, now, now))

    def _begin(self, name: str, run: Run) -> None:
        self._runs[name] = asdict(run)
        self._running[name] = self._running.get(name, 0) + 1
        self._cloud.clock.spawn(self._attempt(name, run), f"schedule {name}")

    def _wait(self, name: str, run: Run) -> None:
        self._runs[name] = asdict(run)

        def again() -> None:
            self._retries.pop(name, None)
            self._begin(name, run)

        self._retries[name] = self._cloud.clock.call_at(run.at, again)

    async def _attempt(self, name: str, run: Run) -> None:
        job = self.kept.get(name)
        retried = False
        try:
            if job is None:
                return
            told.started(self._cloud, name, job, run.due)
            outcome = await self._sender.send(name, job, run.due)
            if name not in self.kept or self._stopped:
                return
            told.finished(self._cloud, name, job, outcome)
            job = self.kept[name]  # it may have been changed meanwhile
            job.last_attempt_time.FromNanoseconds(int(self._cloud.now() * 1e6) * 1000)
            job.status.Clear()
            job.status.code = outcome.code
            self.kept.save(name)
            retried = bool(outcome.code) and self._retry(name, job, run)
        finally:
            self._ended(name, retried=retried)

    def _ended(self, name: str, *, retried: bool) -> None:
        if self._stopped:
            return
        left = self._running[name] = self._running[name] - 1
        if left:
            return
        del self._running[name]
        due = self._delayed.pop(name)
        if due is not None and name in self.kept:
            if timer := self._retries.pop(name, None):
                timer.cancel()
            now = self._cloud.now()
            self._begin(name, Run(due, 1, now, now))
        elif not retried and name not in self._retries:
            self._runs.pop(name)

    def _retry(self, name: str, job: Message, run: Run) -> bool:
        """Whether a failed attempt will be followed by another."""
        if not job.HasField("retry_config") or self._runs.get(name) != asdict(run) or name in self._delayed:
            return False
        policy = policy_of(job.retry_config)
        now = self._cloud.now()
        if exhausted(policy, run.number, now - run.first):
            return False
        at = now + delay(policy, run.number)
        if job.HasField("schedule_time") and at >= _seconds(job.schedule_time):
            return False
        self._wait(name, Run(run.due, run.number + 1, run.first, at))
        return True


def policy_of(config: Message) -> RetryPolicy:
    """The law of a retry_config, whose count leaves out the first attempt."""
    return RetryPolicy(
        max_attempts=config.retry_count + 1,
        max_retry_duration=_seconds(config.max_retry_duration),
        min_backoff=_seconds(config.min_backoff_duration),
        max_backoff=_seconds(config.max_backoff_duration),
        max_doublings=config.max_doublings,
    )


def _seconds(moment: Message) -> float:
    return float(moment.ToNanoseconds()) / 1e9
