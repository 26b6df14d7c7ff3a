"""The early look: what Cloud Monitoring does not show yet is in Cloud Logging within seconds.

Owns the reading: of each side the lines that ended requests since its share was set, the newest first, one page a side
and look (entries.list gives 1,000 at most, and reads 60 a minute and project:
https://cloud.google.com/logging/quotas#api-limits). A further look reads from shortly before the newest line that it
knows and counts none twice, so that counts are those of the whole step, and a test that may be asked at any time stays
one. Where more lines came than a page holds, the newest are counted: which are left out does not hang on what they
say. At 100 % it also reads, once, what the stable side did before that share: the newest of it, page by page until
each door has samples enough, since a queue that was resumed fills a page with lines of one door. Leaves counting to
`lines` and the verdict to `judge.sooner`: it may only find what is ill.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final, Protocol

import spec
from ops.entries import wish
from ops.errors import CallFailed, OpsError
from ops.rollout.gate import gather
from ops.rollout.gate.lines import EVENTS, METRICS, Entry, Tally, by_door, merged
from ops.rollout.gate.model import Early, Rules, Samples, Side
from ops.rollout.gate.target import Target

#: Lines of a side that a look reads at most.
MOST: Final = 1000
#: Pages of the time before a share: five reads of the 60 in the minute in which it is set.
PAGES: Final = 5
#: Real seconds between two reads at Google: two sides are 12 of the 60 reads a minute that all of a project share.
EVERY: Final = 10.0
#: Lines that come later than the newest one by more than this are left to the metrics.
OVERLAP: Final = timedelta(seconds=30)
#: Seconds for one answer.
TIMEOUT: Final = 5.0
#: What whoever looks has to have.
PERMISSION: Final = "logging.logEntries.list"


class Place(Protocol):
    """So much of ops/place.py is needed here."""

    project: str
    local: bool

    def call(self, api: str, method: str, path: str, body: Any = None, *, timeout: float = 30) -> Any:
        """The JSON answer of a call."""


@dataclass
class _Side:
    """What is known of a side since its share was set."""

    tally: Tally
    since: datetime
    #: Lines that the next read may give again, with their times.
    known: dict[str, datetime] = field(default_factory=dict)
    cut: bool = False

    def take(self, entries: list[Entry], more: bool) -> None:
        """Count what is new of a page, which is ordered by time, the newest first."""
        if more and entries and _key(entries[-1]) not in self.known:
            self.cut = True
        for entry in entries:
            if _key(entry) not in self.known:
                self.known[_key(entry)] = _time(entry)
                self.tally.add(entry)
        if self.known:
            self.since = max(self.since, max(self.known.values()) - OVERLAP)
            self.known = {name: at for name, at in self.known.items() if at >= self.since}


class EarlyLook:
    """Reads one place's log, for one share after the other."""

    def __init__(
        self, place: Place, system: spec.System, rules: Rules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place, self._metrics, self._rules, self._clock = place, system.metrics, rules, clock
        self._of: tuple[Target, datetime] | None = None
        self._sides: dict[str, _Side] = {}
        self._last: tuple[float, Early] | None = None
        self._before: Tally | None = None
        self._asked = -inf

    def before(self, target: Target, since: datetime, begin: datetime) -> gather.Earlier | None:
        """What the stable side did from `begin` until this share was set; None where that could not be read."""
        self._turn(target, since)
        now = self._clock()
        if self._before is None and (self._place.local or now - self._asked >= EVERY):
            self._asked = now
            self._before = self._stood(target, begin, since)
        return self._earlier(target)

    def _stood(self, target: Target, begin: datetime, until: datetime) -> Tally | None:
        """What the stable side did in this time, as far as pages tell; None where the first was not answered."""
        tally, token = self._tally(target), ""
        for _ in range(PAGES):
            answer = self._page(target, target.stable, begin, until, token)
            if isinstance(answer, str):
                return tally if token else None
            for entry in answer.get("entries", []):
                tally.add(entry)
            token = str(answer.get("nextPageToken") or "")
            if not token or target.messages <= gather.earlier(target, tally.series(), self._rules.min_samples).known:
                break
        return tally

    def look(self, target: Target, since: datetime) -> Early:
        """What both sides' lines say since this share was set, as far as it was read by now."""
        self._turn(target, since)
        now = self._clock()
        if self._last is None or self._place.local or now - self._last[0] >= EVERY:
            self._last = now, self._read(target)
        return self._last[1]

    def _turn(self, target: Target, since: datetime) -> None:
        """Begin anew where it is another share."""
        if self._of != (target, since):
            names = (target.stable, target.canary)
            self._sides = {name: _Side(self._tally(target), since) for name in names}
            self._of, self._last, self._before, self._asked = (target, since), None, None, -inf

    def _tally(self, target: Target) -> Tally:
        return Tally(self._metrics, {self._rules.p95, *target.windows.values()})

    def _earlier(self, target: Target) -> gather.Earlier | None:
        if self._before is None:
            return None
        return gather.earlier(target, self._before.series(), self._rules.min_samples)

    def _doors(self, target: Target) -> dict[str, Samples]:
        """At 100 % what the canary does, and the stable side did before, door by door."""
        if self._asked == -inf:
            return {}
        found, before = {}, self._before or self._tally(target)
        for (service, path), series in by_door(before, self._sides[target.canary].tally).items():
            both = gather.samples(target, series, {})
            found[f"{service}{path}"] = replace(both, stable=Side(), before=both.stable)
        return found

    def _read(self, target: Target) -> Early:
        with ThreadPoolExecutor(len(self._sides), thread_name_prefix="early") as pool:
            asked = {name: pool.submit(self._page, target, name, side.since) for name, side in self._sides.items()}
            answers = {name: answer.result() for name, answer in asked.items()}
        for answer in answers.values():
            if isinstance(answer, str):  # one side alone would be no comparison
                return Early(missing=answer)
        for name, answer in answers.items():
            assert not isinstance(answer, str)
            self._sides[name].take(answer.get("entries", []), bool(answer.get("nextPageToken")))
        stable, canary = self._sides[target.stable], self._sides[target.canary]
        return Early(
            samples=gather.samples(target, merged(stable.tally, canary.tally), {}, self._earlier(target)),
            doors=self._doors(target),
            lines=(stable.tally.lines, canary.tally.lines),
            cut=stable.cut or canary.cut,
        )

    def _page(
        self, target: Target, side: str, since: datetime, until: datetime | None = None, token: str = ""
    ) -> Mapping[str, Any] | str:
        """The newest lines, or those after a page, or why there are none."""
        lines = wanted(target, side, since, self._metrics, until)
        body = wish(self._place.project, lines, newest_first=True, size=MOST) | ({"pageToken": token} if token else {})
        try:
            found: Mapping[str, Any] = self._place.call("logging", "POST", "entries:list", body, timeout=TIMEOUT)
        except CallFailed as error:
            if error.status == 403:
                return (
                    f"Cloud Logging refuses (403): whoever looks needs {PERMISSION}, which roles/logging.viewer has, "
                    f"on {self._place.project}"
                )
            return f"Cloud Logging answers {error.status}"
        except OpsError:
            return "Cloud Logging does not answer"
        return found


def wanted(
    target: Target, side: str, since: datetime, metrics: Mapping[str, spec.LogMetric], until: datetime | None = None
) -> str:
    """The lines of a side."""
    events = " OR ".join(map(json.dumps, EVENTS))
    base = f'resource.type="cloud_run_revision" AND jsonPayload.event=({events})'
    when = f"timestamp>={_moment(since)}" + (f" AND timestamp<{_moment(until)}" if until else "")
    return f"{base} AND {when} AND {_side(target, side, metrics)}"


def _moment(at: datetime) -> str:
    return json.dumps(at.astimezone(UTC).isoformat().replace("+00:00", "Z"))


def _side(target: Target, side: str, metrics: Mapping[str, spec.LogMetric]) -> str:
    if target.is_release:
        return _all(**{"resource.labels.service_name": target.name, "resource.labels.revision_name": side})
    if target.hop is not None:
        return _all(**_door(*target.hop), **{"jsonPayload.way": side})
    parts = [_all(**_door(*door)) for door, of in target.doors.items() if of == side]
    if target.name in metrics[METRICS["outcomes"]].labels:
        parts.append(_all(**{f"jsonPayload.ways.{target.name}": side}))
    return f"({' OR '.join(parts)})"


def _door(service: str, path: str) -> dict[str, str]:
    return {"resource.labels.service_name": service, "jsonPayload.endpoint": path}


def _all(**said: str) -> str:
    return "(" + " AND ".join(f"{name}={json.dumps(value)}" for name, value in said.items()) + ")"


def _key(entry: Entry) -> str:
    """What tells an entry from any other (LogEntry.insertId)."""
    return f"{entry['timestamp']} {entry['insertId']}"


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(str(entry["timestamp"]))
