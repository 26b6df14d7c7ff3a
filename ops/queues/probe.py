"""The probe before a queue is started: real tasks over every hop, which the services answer and which effect nothing.

A service with a queue into it is asked, by a task there, to put a task into each queue to be started that it sends to:
so creating there and acting as the queue's account are shown by the very account that will. Then that task is forced,
which Cloud Tasks does in a paused queue too, and its arrival shows that the queue's account may call the receiver. A
queue whose senders no queue leads to gets our own task, and who was not asked is told.

A task that arrived is gone; one that was refused stays with the status of its attempt, and is deleted. Bindings come
into force server by server, so a caller asks for several good rounds in a row. A hop that was refused rests for a while
(`rests`): what failed is counted by alerts, and nobody is to be called for a queue that is new.
Sources: https://cloud.google.com/iam/docs/access-change-propagation (two minutes, sometimes seven or more),
https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/run.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import spec
from ops import rest
from ops.errors import CallFailed, OpsError
from ops.place import Place
from ops.queues.rests import Rests, spread
from ops.queues.tasks import PROBE, status_of

#: What a service answers that was reached, and whose own task was refused.
PASSED_ON_REFUSED = 424
#: Seconds for one attempt to end: a service may have to start.
PATIENCE = 60.0
#: Hops that are probed at once.
AT_ONCE = 16
#: Lines of the log that are read, and shown.
READ, SHOWN = 50, 8


@dataclass(frozen=True, kw_only=True, order=True)
class Trouble:
    """One hop that does not work yet, and which permission is missing as far as the answer tells."""

    queue: str
    why: str
    status: int = 0

    def as_json(self) -> dict[str, str | int]:
        """The form that --json prints."""
        return {"queue": self.queue, "why": self.why, "status": self.status}


class Prober:
    """Probes the hops of some queues."""

    def __init__(
        self, place: Place, system: spec.System, queues: Iterable[str], *, doors: Mapping[str, str] | None = None
    ) -> None:
        self._place, self._system = place, system
        #: Where a service is reached, if not at its base URL: a new revision by its tag, before any payment meets it.
        self._doors = dict(doors or {})
        self._queues = [system.queue(name) for name in sorted(queues)]
        self._rests: Rests[Trouble] = Rests(spread(place).waits)
        asked: dict[str, list[str]] = {}
        direct: list[str] = []
        #: Senders of these queues that no queue leads to, so that nothing shows what they may.
        self.unasked: list[tuple[str, str]] = []
        for queue in self._queues:
            reached = [sender for sender in queue.senders if system.queues_into(sender)]
            self.unasked += [(sender, queue.name) for sender in queue.senders if sender not in reached]
            for sender in reached:
                asked.setdefault(sender, []).append(queue.name)
            if not reached:
                direct.append(queue.name)
        #: Queue that a task of ours goes into -> queues into which its receiver then puts one.
        self._seeds: list[tuple[str, Sequence[str]]] = [(name, ()) for name in direct]
        self._seeds += [(self._way_to(sender), onward) for sender, onward in asked.items()]

    def round(self) -> list[Trouble]:
        """Probe every hop once; what does not work yet."""
        run = secrets.token_hex(6)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool:
            told = list(pool.map(lambda seed: self._seed(run, *seed), self._seeds))
            passed_on = [
                (name, self._system.queue(seed).receiver)
                for (seed, onward), trouble in zip(self._seeds, told, strict=True)
                if trouble is None
                for name in onward
            ]
            told += pool.map(lambda hop: self._onward(hop[0], f"probe-{run}-{hop[1]}"), passed_on)
        return sorted({trouble for trouble in told if trouble is not None})

    def once(self, name: str) -> Trouble | None:
        """Probe one queue with a task of ours that goes no further."""
        return self._made(secrets.token_hex(6), name, ())

    def said(self, troubles: Sequence[Trouble]) -> list[str]:
        """What Cloud Tasks and Cloud Run told the services of it, in their own words."""
        if not troubles:
            return []
        wanted = 'jsonPayload.event="probe_refused" OR (log_id("local-cloud") AND jsonPayload.permission:*)'
        try:
            entries = list(self._place.logs(wanted, newest_first=True, limit=READ))
        except OpsError:
            return []
        words = [text for entry in entries if (text := _words(entry))]
        return list(dict.fromkeys(words))[:SHOWN]

    def _way_to(self, service: str) -> str:
        """A queue into the service: one of those to be started if there is any, so that both are probed at once."""
        into = [queue.name for queue in self._system.queues_into(service)]
        chosen = {queue.name for queue in self._queues}
        return next((name for name in into if name in chosen), into[0])

    def _seed(self, run: str, name: str, onward: Sequence[str]) -> Trouble | None:
        with self._rests.turn(name):
            return self._rests.resting(name) or self._made(run, name, onward)

    def _onward(self, name: str, task: str) -> Trouble | None:
        """Try a task that a service has made; where the hop rests it goes untried."""
        with self._rests.turn(name):
            if resting := self._rests.resting(name):
                self._forgotten(f"{self._place.parent}/queues/{name}/tasks/{task}")
                return resting
            return self._forced(name, task)

    def _made(self, run: str, name: str, onward: Sequence[str]) -> Trouble | None:
        queue = self._system.queue(name)
        url, project = self._place.url(queue.receiver), self._place.project
        account = spec.names.account_email(spec.names.invoker_account_id(name), project)
        task = {
            "dispatchDeadline": queue.dispatch_deadline.google,
            "httpRequest": {
                "url": self._doors.get(queue.receiver, url) + queue.path,
                "httpMethod": "POST",
                "headers": {PROBE: " ".join([run, *onward])},
                "oidcToken": {"serviceAccountEmail": account, "audience": url},
            },
        }
        try:
            made = self._place.call("tasks", "POST", f"{self._place.parent}/queues/{name}/tasks", {"task": task})
        except CallFailed as error:
            return Trouble(
                queue=name, why=f"you may not put a task there: {rest.reason(error.body)}", status=error.status
            )
        return self._forced(name, str(made["name"]).rpartition("/")[2], onward)

    def _forced(self, name: str, task: str, onward: Sequence[str] = ()) -> Trouble | None:
        """Have a task dispatched now and see what becomes of it."""
        path = f"{self._place.parent}/queues/{name}/tasks/{task}"
        try:
            self._place.call("tasks", "POST", f"{path}:run", {})
            status = self._ended(path)
        except CallFailed as error:
            if error.status == 404:  # a queue that runs has dispatched it already
                return None
            return Trouble(queue=name, why=rest.reason(error.body), status=error.status)
        if status == 0:
            return None
        self._forgotten(path)
        trouble = Trouble(queue=name, why=self._why(name, status, onward), status=status)
        self._rests.refused(name, trouble)
        return trouble

    def _ended(self, path: str) -> int:
        """The status with which the attempt was answered; 0 where the task is done and gone, -1 without an answer."""
        until, pause = time.monotonic() + PATIENCE, 0.005
        while time.monotonic() < until:
            try:
                last = self._place.call("tasks", "GET", path).get("lastAttempt", {})
            except CallFailed as error:
                if error.status == 404:
                    return 0
                raise
            if last.get("responseTime"):
                return int(status_of(str(last.get("responseStatus", {}).get("message", ""))) or -1)
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
        return -1

    def _forgotten(self, path: str) -> None:
        """Take a refused task away, so that it is not dispatched when its queue starts."""
        try:
            self._place.call("tasks", "DELETE", path)
        except CallFailed as error:
            if error.status != 404:
                raise

    def _why(self, name: str, status: int, onward: Sequence[str]) -> str:
        queue = self._system.queue(name)
        account = spec.names.invoker_account_id(name)
        if status in (401, 403):
            return f"{account} may not call {queue.receiver} yet (roles/run.invoker on it)"
        if status == PASSED_ON_REFUSED:
            roles = f"{spec.names.TASK_CREATOR_ROLE_ID} there, roles/iam.serviceAccountUser on its invoker"
            return f"{queue.receiver} may not put tasks into one of {', '.join(onward)} yet ({roles})"
        if status == -1:
            return f"{queue.receiver} did not answer"
        return f"{queue.receiver} answered {status}"


def until_well(
    prober: Prober,
    *,
    rounds: int,
    pause: float,
    patience: float,
    tell: Callable[[int, list[Trouble]], None],
) -> list[Trouble]:
    """Probe until so many rounds in a row went well; what stood in the way when patience was over, else nothing."""
    until, well = time.monotonic() + patience, 0
    while True:
        troubles = prober.round()
        well = 0 if troubles else well + 1
        tell(well, troubles)
        if well >= rounds:
            return []
        if time.monotonic() + pause > until:
            return troubles or [
                Trouble(queue="", why=f"{well} of {rounds} rounds in a row went well, then time was up")
            ]
        time.sleep(pause)


def _words(entry: Mapping[str, object]) -> str:
    payload = entry.get("jsonPayload")
    if isinstance(payload, Mapping):
        return str(payload.get("why") or payload.get("message") or "")
    return str(entry.get("textPayload") or "")
