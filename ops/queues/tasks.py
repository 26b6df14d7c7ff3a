"""A task as an operator sees it: when, how often, with what answer, and to which side of a release it goes.

Pure: reads what Cloud Tasks says of a task. A side is the tag in its URL: `canary---SERVICE-NUMBER` goes to whatever
revision has the tag `canary`; a URL without a tag, and the tag `stable`, are the stable side.
Sources: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks (Attempt.responseStatus),
https://cloud.google.com/run/docs/rollouts-rollbacks-traffic-migration (tags); DESIGN section 5.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from spec import names

STABLE: Final = names.STABLE_TAG
#: The side of a task whose URL is no service's.
OTHER: Final = "other"
#: What stands for the answer of a task that has had none.
UNTRIED = "-"
#: The header that the services' kit knows a probe by (`service_code/kit/probe.py`).
PROBE: Final = "x-sluice-probe"

_HTTP = re.compile(r"HTTP status code (\d{3})")
_RPC = re.compile(r"^([A-Z_]+)\(\d+\)")
#: The label of a service's URL, at Google and on this machine: `https://[TAG---]SERVICE-NUMBER.` or `/run/...`.
_LABEL = re.compile(rf"(?P<head>^https?://|/run/)(?P<tag>[a-z][a-z0-9-]*?{names.TAG_SEPARATOR})?"
                    r"(?P<service>[a-z][a-z0-9-]*)-(?P<number>\d+)(?=\.)")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Task:
    """One waiting task."""

    id: str
    queue: str
    created: datetime
    scheduled: datetime
    attempts: int
    #: The HTTP status of the last answer, or the code's name in lower case where none came, or "-" before an answer.
    code: str
    said: str
    #: An attempt has been sent and is not answered.
    running: bool
    url: str
    payment: str = ""

    @property
    def side(self) -> str:
        """`stable`, `canary`, another tag, or `other` where the URL is no service's."""
        return side_of(self.url)

    def age(self, now: datetime) -> float:
        """Seconds since it was created."""
        return max(0.0, (now - self.created).total_seconds())

    def as_json(self, now: datetime) -> dict[str, Any]:
        """The form that --json prints."""
        return {
            **{"task": self.id, "queue": self.queue, "scheduled_at": _said(self.scheduled)},
            **{"created_at": _said(self.created), "age_seconds": round(self.age(now), 3), "attempts": self.attempts},
            **{"last_code": None if self.code == UNTRIED else self.code, "last_answer": self.said or None},
            **{"running": self.running, "side": self.side, "url": self.url, "payment": self.payment or None},
        }

    def of(self, payment: str) -> Task:
        """The same task of a payment that is known by now."""
        return replace(self, payment=payment)


def read(task: Mapping[str, Any]) -> Task:
    """What Cloud Tasks says of one task."""
    queue, _, called = str(task["name"]).rpartition("/tasks/")
    last = task.get("lastAttempt") or {}
    answered = last.get("responseStatus") or {}
    said = str(answered.get("message", ""))
    rpc = _RPC.match(said)
    code = status_of(said) or (rpc[1].lower() if rpc else str(answered.get("code") or UNTRIED))
    return Task(
        id=called,
        queue=queue.rpartition("/")[2],
        created=datetime.fromisoformat(str(task["createTime"])),
        scheduled=datetime.fromisoformat(str(task["scheduleTime"])),
        attempts=int(task.get("dispatchCount", 0)),
        code=code,
        said=said,
        running=bool(last.get("dispatchTime")) and not last.get("responseTime"),
        url=str(task.get("httpRequest", {}).get("url", "")),
    )


def is_probe(task: Mapping[str, Any]) -> bool:
    """Whether it effects nothing: a probe of `queues resume`, or of a new revision."""
    return PROBE in {str(name).lower() for name in task.get("httpRequest", {}).get("headers", {})}


def status_of(said: str) -> str:
    """The HTTP status that an answer of an attempt names; nothing where none came."""
    found = _HTTP.search(said)
    return found[1] if found else ""


def side_of(url: str) -> str:
    """Which side of a release a URL leads to."""
    found = _LABEL.search(url)
    if found is None:
        return OTHER
    return (found["tag"] or STABLE).removesuffix(names.TAG_SEPARATOR)


def service_of(url: str) -> str:
    """The service that a URL leads to; nothing where it is no service's."""
    found = _LABEL.search(url)
    return found["service"] if found else ""


def untagged(url: str) -> str:
    """The URL without its tag: the service's base URL, with the rest as it is."""
    return _LABEL.sub(lambda found: f"{found['head']}{found['service']}-{found['number']}", url, count=1)


def path_of(url: str) -> str:
    """The path at the service."""
    found = _LABEL.search(url)
    _, slash, rest = url[found.end() if found else 0 :].partition("/")
    return (slash + rest).partition("?")[0] or "/"


def message_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """The message in a task's body (FULL view); empty where it is none. Nobody prints it: it may hold a token."""
    try:
        found = json.loads(base64.b64decode(task.get("httpRequest", {}).get("body", "")))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
