"""Incidents: one a policy, condition and series, from its opening to its end, and those that ended lately.

Owns what is kept of them (JSON, in the store), which of them are open, the bound of the history, and their form as
https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alerts. When they open and close is evaluation.py's and
log_matches.py's affair.
"""

import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from heapq import nsmallest
from typing import Any, TypeAlias

from local_cloud.logs.entries import rfc3339
from local_cloud.metrics.series import Key
from local_cloud.store import Store

#: A policy has so many open incidents at most (https://cloud.google.com/monitoring/quotas).
MAX_OPEN = 1000
#: So many that ended are kept, the newest.
MAX_CLOSED = 1000
_DIGITS = string.digits + string.ascii_lowercase

#: A condition and a series, by their names.
_Place: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class Incident:
    """One violation. Times are epoch seconds of the cloud's clock; `notice` is what channels are told of it."""

    id: str
    policy: str
    condition: str
    #: The series: metric and resource with their labels. Where logs are watched, the resource of the first entry.
    series: list[Any]
    opened: float
    notice: dict[str, Any]
    closed: float = 0.0
    #: When its series fell silent; 0 while there is data.
    silent: float = 0.0
    #: When a channel that wants to be reminded was last notified, by its name.
    reminded: dict[str, float] = field(default_factory=dict)
    #: When it closes if no further log entry matches.
    ends: float = 0.0
    why: str = ""
    #: Labels from a log entry; None where a series is watched.
    extracted: dict[str, str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self.closed


class Incidents:
    """All incidents of the project."""

    def __init__(self, store: Store) -> None:
        self._kept = store.json("alerting.incidents")
        self.all: dict[str, Incident] = {}
        #: By policy, then by condition and series.
        self._open: dict[str, dict[_Place, Incident]] = {}
        self._newest: dict[_Place, Incident] = {}
        for incident in sorted((Incident(**value) for value in self._kept.values()), key=lambda one: one.opened):
            self._take(incident)

    def find(self, policy: str, condition: str, key: Key | Mapping[str, str]) -> Incident | None:
        """The open incident of a condition and a series, or of the labels of log entries."""
        return self._open.get(policy, {}).get((condition, name_of(key)))

    def last(self, condition: str, key: Key | Mapping[str, str]) -> Incident | None:
        """The newest incident of a condition and a series, open or not."""
        return self._newest.get((condition, name_of(key)))

    def of(self, policy: str) -> list[Incident]:
        """A policy's open incidents."""
        return list(self._open.get(policy, {}).values())

    def is_full(self, policy: str) -> bool:
        """Whether a policy has as many open incidents as it may."""
        return len(self._open.get(policy, ())) >= MAX_OPEN

    def open(
        self, policy: str, condition: str, series: list[Any], at: float, extracted: dict[str, str] | None = None
    ) -> Incident:
        """A new one, whose notice is still to be written; save() keeps it."""
        number = "".join(secrets.choice(_DIGITS) for _ in range(12))
        incident = Incident(f"0.{number}", policy, condition, series, at, {}, extracted=extracted)
        self._take(incident)
        return incident

    def save(self, incident: Incident) -> None:
        """Keeps what was changed."""
        self._kept[incident.id] = asdict(incident)

    def close(self, incident: Incident, at: float, why: str) -> None:
        """Ends one; the oldest of those that ended go when there are too many."""
        incident.closed, incident.why = at, why
        self._open.get(incident.policy, {}).pop(_place(incident), None)
        self.save(incident)
        over = len(self.all) - sum(map(len, self._open.values())) - MAX_CLOSED
        ended = (one for one in self.all.values() if not one.is_open)
        for old in nsmallest(over, ended, key=lambda one: one.closed) if over > 0 else ():
            del self.all[old.id]
            self._kept.pop(old.id)
            if self._newest.get(_place(old)) is old:
                del self._newest[_place(old)]

    def _take(self, incident: Incident) -> None:
        self.all[incident.id] = incident
        self._newest[_place(incident)] = incident
        if incident.is_open:
            self._open.setdefault(incident.policy, {})[_place(incident)] = incident


def series_of(key: Key) -> list[Any]:
    """A series as JSON."""
    return [key.metric, dict(key.metric_labels), key.resource, dict(key.resource_labels)]


def key_of(series: list[Any]) -> Key:
    """The series of an incident."""
    metric, labels, resource, resource_labels = series
    return Key(metric, tuple(sorted(labels.items())), resource, tuple(sorted(resource_labels.items())))


def name_of(key: Key | Mapping[str, str]) -> str:
    """A series, or labels of log entries, as a name."""
    return repr(tuple(key)) if isinstance(key, Key) else repr(sorted(key.items()))


def _place(incident: Incident) -> _Place:
    key = key_of(incident.series) if incident.extracted is None else incident.extracted
    return incident.condition, name_of(key)


def alert(project: str, incident: Incident) -> dict[str, Any]:
    """An incident as the Alert of the API."""
    notice = incident.notice
    labels: Mapping[str, str] = notice.get("policy_user_labels", {})
    policy = {"name": incident.policy, "displayName": notice["policy_name"]}
    made: dict[str, Any] = {
        "name": f"projects/{project}/alerts/{incident.id}",
        "state": "OPEN" if incident.is_open else "CLOSED",
        "openTime": rfc3339(incident.opened),
        "resource": notice["resource"],
        "policy": policy | ({"userLabels": dict(labels)} if labels else {}),
    }
    if notice["severity"] != "No severity":
        made["policy"]["severity"] = notice["severity"].upper()
    if not incident.is_open:
        made["closeTime"] = rfc3339(incident.closed)
    if incident.extracted is not None:
        made["log"] = {"extractedLabels": incident.extracted}
    else:
        made["metric"] = {name: notice["metric"][name] for name in ("type", "labels")}
    return made
