"""Policies on logs: every entry is held against them as it is written.

Owns label extraction, the rate limit (one notification a period for each combination of extracted labels), the most of
a day, and the end of incidents that no further entry keeps open. Entries that alerting writes itself are passed over.
Sources: https://cloud.google.com/logging/docs/alerting/log-based-alerts, alert.proto (LogMatch),
https://cloud.google.com/monitoring/quotas (20 notifications a day and policy).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_cloud.alerting.evaluation import AUTO_CLOSE
from local_cloud.alerting.incidents import Incident
from local_cloud.alerting.keeper import Keeper
from local_cloud.alerting.snoozes import Snoozes
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.logs.compare import Entry
from local_cloud.logs.extract import ExtractorError, Text, text_of
from local_cloud.logs.query import QueryError, parse

#: A policy notifies so often within a day at most.
MOST, DAY = 20, 86_400.0
#: Seconds after which a further match is noted on disk.
NOTED = 60.0


@dataclass(slots=True)
class Watch:
    """One policy on logs."""

    policy: Message
    condition: Message
    matches: Callable[[Entry], bool]
    extract: dict[str, Text]
    period: float
    after: float
    #: When it has notified, within a day.
    told: deque[float] = field(default_factory=deque)


class LogMatches:
    """All enabled policies on logs."""

    def __init__(self, cloud: Cloud, keeper: Keeper) -> None:
        self._cloud, self._keeper = cloud, keeper
        self._snoozes = Snoozes(cloud)
        self._watches: dict[str, Watch] = {}
        self._told = cloud.store.json("alerting.told")

    def put(self, policy: Message) -> None:
        """Takes a policy in, as it is now."""
        before = self._watches.pop(policy.name, None)
        condition = policy.conditions[0]
        wanted = policy.enabled.value and condition.HasField("condition_matched_log")
        same = before is not None and before.condition.name == condition.name
        if same and before is not None:
            same = before.condition.condition_matched_log == condition.condition_matched_log
        for incident in self._keeper.incidents.of(policy.name):
            if incident.extracted is not None and not (wanted and (same or before is None)):
                why = "its condition was changed" if wanted else "the policy was disabled"
                self._keeper.close(incident, self._cloud.now(), why)
        if wanted and (watch := self._build(policy, condition)) is not None:
            watch.told.extend(self._told.get(policy.name) or ())
            self._watches[policy.name] = watch

    def remove(self, name: str) -> None:
        """Lets go of a policy; its incidents are evaluation.py's to close."""
        self._watches.pop(name, None)
        self._told.pop(name)

    def written(self, entry: Entry, _buckets: tuple[str, ...] = ()) -> None:
        """An entry was written."""
        if not self._watches or _own(entry):
            return
        for watch in list(self._watches.values()):
            if watch.matches(entry):
                self._matched(watch, entry)

    def minute_ended(self, _end: int) -> None:
        """Closes what no entry has kept open."""
        now = self._cloud.now()
        for incident in self._open():
            if incident.ends <= now:
                self._keeper.close(incident, now, "no further log entry matched for the time of auto-close")

    def stop_at(self) -> float | None:
        """When the next incident closes."""
        return min((incident.ends for incident in self._open()), default=None)

    def _build(self, policy: Message, condition: Message) -> Watch | None:
        strategy, inner = policy.alert_strategy, condition.condition_matched_log
        try:
            extract = {name: text_of(text) for name, text in inner.label_extractors.items()}
            matches = parse(inner.filter).matches
        except (QueryError, ExtractorError) as error:  # kept by a version that did not check it
            text = f"The condition {condition.display_name!r} of policy {policy.display_name!r} cannot be evaluated"
            self._cloud.log.event("WARNING", f"{text}: {error}", component="alerting")
            return None
        after = strategy.auto_close.seconds if strategy.HasField("auto_close") else AUTO_CLOSE
        period = strategy.notification_rate_limit.period.ToNanoseconds() / 1e9
        return Watch(policy, condition, matches, extract, period, after)

    def _open(self) -> list[Incident]:
        return [i for name in self._watches for i in self._keeper.incidents.of(name) if i.extracted is not None]

    def _matched(self, watch: Watch, entry: Entry) -> None:
        now = self._cloud.now()
        if self._snoozes.holds(watch.policy.name, None, now):
            return
        labels = {name: value for name, get in watch.extract.items() if (value := get(entry))}
        incident = self._keeper.incidents.find(watch.policy.name, watch.condition.name, labels)
        last = incident or self._keeper.incidents.last(watch.condition.name, labels)
        spoke = max(last.reminded.values(), default=0.0) if last is not None else 0.0
        tells = now - spoke >= watch.period and self._may_tell(watch, now)
        if incident is None:
            found = entry.get("resource", {})
            series: list[Any] = ["", {}, str(found.get("type", "global")), dict(found.get("labels", {}))]
            incident = self._keeper.open(watch.policy, watch.condition, series, now, extracted=labels, told=tells)
            if incident is None:
                return
        elif tells:
            self._keeper.again(incident, list(watch.policy.notification_channels), now)
        if tells:
            watch.told.append(now)
            self._told[watch.policy.name] = list(watch.told)
        if incident.ends < now + watch.after - NOTED or tells:
            incident.ends = now + watch.after
            self._keeper.incidents.save(incident)

    def _may_tell(self, watch: Watch, now: float) -> bool:
        while watch.told and watch.told[0] <= now - DAY:
            watch.told.popleft()
        return len(watch.told) < MOST


def _own(entry: Entry) -> bool:
    """What alerting has written itself would keep its own incidents open."""
    if "/logs/monitoring.googleapis.com" in str(entry["logName"]):
        return True
    payload = entry.get("jsonPayload")
    return isinstance(payload, dict) and payload.get("component") == "alerting"
