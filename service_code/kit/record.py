"""The rollout's record: how many payments take a route's new way, and which revision of a service is being tried.

It is one object in Cloud Storage, outside of every revision, so that a step needs none. It is read within a request, at
most every five seconds of the kit's clock and by one request at a time; what cannot be read, or is no record, leaves
the last one standing and says so (`rollout_record_unread`), and is asked for again a second later, once. How long an
old record may count is what a rollout waits for (`ops/rollout/left.py`). Keys that a newer release adds are passed
over.
Source: DESIGN section 5; https://cloud.google.com/storage/docs/json_api/v1/objects/get; docs/adr/release-canary.md.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service_code.kit import logs, strict_json
from service_code.kit.access import Access, once_more
from service_code.kit.clock import Clock
from service_code.kit.outside import Answer, Outside, UnreachableError

#: The object's name in its bucket (`spec.names` has the same).
OBJECT = "record.json"
#: Seconds for which a record counts from when it was asked for, and the last one where two reads in a row failed.
LIVES = 5.0
#: Seconds after the first read that failed: what it left standing is as old as may be already.
AGAIN = 1.0
#: Seconds for one call: a payment is waiting. A read makes two where the access token had to be a new one.
TIMEOUT = 1.0
#: Bytes that no record has: a hundred services and routes need a tenth.
LONGEST = 100_000
#: Openings of objects that no record has.
MOST_OPENINGS = 1_000
#: Cloud Run's limit for a revision's name.
REVISION = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")

_log = logs.get("record")


class RecordError(ValueError):
    """The object is no record that this release can go by."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many payments go the new way now, in per cent, and how they are mixed."""

    percent: int
    salt: str


@dataclass(frozen=True, slots=True)
class Release(Share):
    """A service's revision that is being tried, by the payments of its share."""

    canary: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the object says."""

    routes: Mapping[str, Share]
    releases: Mapping[str, Release]


#: What counts while there is no record: the routes' own shares, and nothing is being tried.
NONE = Record(routes={}, releases={})


def read(body: bytes) -> Record:
    """Read the object, or raise RecordError; one entry that is wrong makes all of it wrong."""
    if len(body) > LONGEST:
        raise RecordError(f"it has {len(body)} bytes")
    try:
        found = strict_json.loads(body, most=MOST_OPENINGS)
    except ValueError as error:
        raise RecordError("it is not JSON") from error
    if not isinstance(found, dict) or type(found.get("version")) is not int or found["version"] < 1:
        raise RecordError("it has no version")
    shares = {name: Share(*_share(name, value)) for name, value in _entries(found, "routes")}
    return Record(
        routes=shares,
        releases={name: Release(*_share(name, one), _canary(name, one)) for name, one in _entries(found, "releases")},
    )


def _entries(found: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    entries = found.get(key)
    if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
        raise RecordError(f"{key} is not an object of objects")
    return list(entries.items())


def _share(name: str, value: dict[str, Any]) -> tuple[int, str]:
    percent, salt = value.get("percent"), value.get("salt")
    if type(percent) is not int or not 0 <= percent <= 100:
        raise RecordError(f"{name} has no percent from 0 to 100")
    if not isinstance(salt, str) or not salt:
        raise RecordError(f"{name} has no salt")
    return percent, salt


def _canary(name: str, value: dict[str, Any]) -> str:
    canary = value.get("canary")
    if not isinstance(canary, str) or not REVISION.fullmatch(canary):
        raise RecordError(f"{name} names no revision")
    return canary


class RolloutRecord:
    """Holds the last record of a bucket; without a bucket there is none."""

    def __init__(self, endpoint: str, bucket: str | None, outside: Outside, access: Access, clock: Clock) -> None:
        self._url = f"{endpoint.rstrip('/')}/storage/v1/b/{bucket}/o/{OBJECT}?alt=media" if bucket else None
        self._outside = outside
        self._access = access
        self._clock = clock
        self._last = NONE
        self._asked_at = float("-inf")
        self._lives = LIVES
        self._failed = False
        self._asking = asyncio.Lock()

    async def latest(self) -> Record:
        """Return the record, read anew where the last one is too old; whoever comes meanwhile waits for that read."""
        if self._url is not None and self._due():
            async with self._asking:
                if self._due():
                    await self._read(self._url)
        return self._last

    def _due(self) -> bool:
        return not 0 <= self._clock.seconds() - self._asked_at < self._lives

    async def _read(self, url: str) -> None:
        asked_at = self._clock.seconds()
        try:
            answer = await once_more(self._access, lambda: self._get(url))
            if answer.status != 200:
                raise RecordError(f"Cloud Storage answered {answer.status}")
            self._last = read(answer.body)
            self._asked_at, self._lives, self._failed = asked_at, LIVES, False
        except (RecordError, UnreachableError) as error:
            self._unread(str(error))
        except Exception as error:  # no access token: the metadata server is away
            self._unread(f"no access token: {type(error).__name__}")

    async def _get(self, url: str) -> Answer:
        headers = {"Authorization": f"Bearer {await self._access.token()}"}
        return await self._outside.call("GET", url, what="Cloud Storage", headers=headers, timeout=TIMEOUT)

    def _unread(self, why: str) -> None:
        self._asked_at, self._lives = self._clock.seconds(), LIVES if self._failed else AGAIN
        self._failed = True
        _log.error("the rollout's record stays as it was", what="rollout_record_unread", status="error", why=why)
