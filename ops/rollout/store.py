"""Objects of the rollout bucket, each write bound to the generation that was read: of two writers one is refused.

Owns how an object is read, written, held and listed, over Cloud Storage's JSON API at Google or in the local cloud, how
often a call is made again that broke, was put off or came second, and the names of what a rollout keeps. Leaves what
the objects say to state.py and lock.py; rotations of secrets keep theirs by the same calls.
Source: https://cloud.google.com/storage/docs/request-preconditions, .../object-holds, .../retry-strategy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import spec
from ops.errors import CallFailed, OpsError, Unreachable
from ops.place import Place
from ops.rollout.state import Rollout

#: What Cloud Storage answers where a precondition does not hold (any more), and where a hold forbids a write.
CHANGED, HELD, ABSENT = 412, 403, 404
#: Answers after which Google says to try again.
TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
#: Seconds before a call that broke is made again, the second time and so on; a way back is tried for a minute.
AGAIN: Final = (0.5, 1.0, 2.0, 4.0)
HARD: Final = (*AGAIN, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0)
#: So often a change is made again where somebody else was quicker.
TRIES = 20
#: Objects listed at once.
PAGE = 1000
#: What waits between two tries.
pause = time.sleep

T = TypeVar("T")


class Lost(OpsError):
    """Somebody else has written the object since it was read."""


@dataclass(frozen=True)
class Kept:
    """An object as it was read. An absent one has generation 0, which is what creating it wants to match."""

    data: bytes = b""
    generation: int = 0

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return self.generation > 0

    @property
    def json(self) -> Any:
        """What it says; None of an absent one."""
        return json.loads(self.data) if self.there else None


class Objects:
    """The rollout bucket of one place."""

    def __init__(self, place: Place, again: Sequence[float] = AGAIN) -> None:
        self._place, self._again = place, again
        self.bucket: Final = spec.names.rollout_bucket(place.project)

    def read(self, name: str) -> Kept:
        """An object with the generation that these bytes are of."""
        try:
            found = self._call("GET", self._path(name), query={"alt": "media"}, raw=True)
        except CallFailed as error:
            if error.status == ABSENT:
                return Kept()
            raise self._explained(error) from error
        return Kept(found.body, int(found.headers["x-goog-generation"]))

    def write(self, name: str, data: bytes, *, over: int, hold: bool = False) -> int:
        """Write over the generation that was read (0: there was none); the new one. Lost if there is another now.

        With `hold` nobody can write over it until the hold is taken away: it comes into force with the bytes.
        """
        said = {"name": name, "contentType": "application/json", "cacheControl": "no-store", "temporaryHold": hold}
        line = "sluice-rollout-object"
        parts = (
            f"--{line}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(said)}\r\n"
            f"--{line}\r\nContent-Type: application/json\r\n\r\n"
        )
        body = parts.encode() + data + f"\r\n--{line}--\r\n".encode()
        broke: list[OpsError] = []
        try:
            made = self._call(
                "POST",
                f"/upload/storage/v1/b/{self.bucket}/o",
                body,
                query={"uploadType": "multipart", "name": name, "ifGenerationMatch": over},
                headers={"Content-Type": f"multipart/related; boundary={line}"},
                broke=broke,
            )
        except CallFailed as error:
            done = self._written(name, data, over) if broke and error.status == CHANGED else 0
            if not done:
                raise self._lost(name, error) from error
            if hold:
                self.hold(name, on=True, generation=done)
            return done
        return int(made["generation"])

    def _written(self, name: str, data: bytes, over: int) -> int:
        """The generation of this write where its answer was lost on the way; 0 where it was not made."""
        kept = self.read(name)
        return kept.generation if kept.generation != over and kept.data == data else 0

    def hold(self, name: str, *, on: bool, generation: int) -> None:
        """Forbid or allow to write over this generation; Lost if there is another now."""
        try:
            self._call("PATCH", self._path(name), {"temporaryHold": on}, query={"ifGenerationMatch": generation})
        except CallFailed as error:
            raise self._lost(name, error) from error

    def held(self, name: str) -> bool:
        """Whether a hold stands."""
        try:
            return bool(self._call("GET", self._path(name)).get("temporaryHold"))
        except CallFailed as error:
            if error.status == ABSENT:
                return False
            raise

    def delete(self, name: str, *, generation: int) -> None:
        """Delete the generation that was read; an absent one stays absent. Lost if there is another now."""
        broke: list[OpsError] = []
        try:
            self._call("DELETE", self._path(name), query={"ifGenerationMatch": generation}, broke=broke)
        except CallFailed as error:
            gone = error.status == ABSENT or (broke and error.status == CHANGED and not self.read(name).there)
            if not gone:
                raise self._lost(name, error) from error

    def names(self, prefix: str) -> list[str]:
        """The names of all objects that begin so, in their order."""
        found: list[str] = []
        token = ""
        while True:
            query: dict[str, Any] = {"prefix": prefix, "maxResults": PAGE, "fields": "items(name),nextPageToken"}
            answer = self._call("GET", f"b/{self.bucket}/o", query={**query, **({"pageToken": token} if token else {})})
            found += [str(one["name"]) for one in answer.get("items", ())]
            token = str(answer.get("nextPageToken", ""))
            if not token:
                return found

    def _call(
        self, method: str, path: str, body: Any = None, *, broke: list[OpsError] | None = None, **more: Any
    ) -> Any:
        """Call, and again where it broke: a write is bound to a generation, so that it is made once.

        `broke` gets what went wrong before: then a write may have been made, and its answer lost.
        """
        trouble = [] if broke is None else broke
        for wait in self._again:
            try:
                return self._place.call("storage", method, path, body, **more)
            except (CallFailed, Unreachable) as error:
                if isinstance(error, CallFailed) and error.status not in TRANSIENT:
                    raise
                trouble.append(error)
            pause(wait)
        return self._place.call("storage", method, path, body, **more)

    def _path(self, name: str) -> str:
        return f"b/{self.bucket}/o/{quote(name, safe='')}"

    def _lost(self, name: str, error: CallFailed) -> OpsError:
        if error.status == CHANGED:
            return Lost(
                f"somebody else has written {name} of {self.bucket} meanwhile",
                why="what is known of it here is old, and nothing was written over it",
                fix="./sluice rollout status shows how it stands now",
            )
        return self._explained(error)

    def _explained(self, error: CallFailed) -> OpsError:
        if error.status == ABSENT:
            return OpsError(
                f"there is no bucket {self.bucket}",
                why="the rollout record and the state of rollouts are kept in it",
                fix=f"deploy the foundation of {self._place.stack}: "
                + ("./sluice up" if self._place.local else f"pulumi up --stack foundation-{self._place.stack}"),
            )
        return error


class Store:
    """What a rollout keeps: its state, and the history of those that are over."""

    def __init__(self, place: Place, again: Sequence[float] = AGAIN) -> None:
        self.objects = Objects(place, again)

    def read(self) -> tuple[Rollout | None, int]:
        """The running or last rollout with its generation."""
        kept = self.objects.read(spec.names.ROLLOUT_OBJECT)
        return (_rollout(kept) if kept.there else None), kept.generation

    def write(self, rollout: Rollout, over: int) -> int:
        """Keep it; the new generation. Lost if somebody else wrote it since it was read."""
        return self.objects.write(spec.names.ROLLOUT_OBJECT, encoded(rollout.as_json()), over=over)

    def remember(self, rollout: Rollout) -> None:
        """Keep the page of one that is over; it is written again where its end was brought about twice."""
        name = f"{spec.names.HISTORY_FOLDER}{rollout.id}.json"
        data = encoded(rollout.as_json())
        kept = self.objects.read(name)
        if kept.data != data:
            self.objects.write(name, data, over=kept.generation)

    def past(self, target: str = "") -> list[str]:
        """The ids of those that are over, those of one target by time."""
        folder = spec.names.HISTORY_FOLDER
        prefix = f"{folder}{target}-" if target else folder
        ids = [name.removeprefix(folder).removesuffix(".json") for name in self.objects.names(prefix)]
        return [one for one in ids if not target or one.rpartition("-")[0] == target]

    def show(self, rollout_id: str) -> Rollout | None:
        """One of them."""
        kept = self.objects.read(f"{spec.names.HISTORY_FOLDER}{rollout_id}.json")
        return _rollout(kept) if kept.there else None


def insisted(once: Callable[[], T], what: str = "the state of the rollout") -> T:
    """What `once` gives, which reads, changes and writes `what`: made again where somebody else was quicker."""
    for _ in range(TRIES):
        try:
            return once()
        except Lost:
            continue
    raise Lost(
        f"{what} is being written by somebody else all the time",
        why="it was not changed",
        fix="find who does, and repeat the command",
    )


def encoded(value: Mapping[str, Any]) -> bytes:
    """JSON as it is kept: for people to read."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _rollout(kept: Kept) -> Rollout:
    try:
        return Rollout.from_json(kept.json)
    except (ValueError, TypeError, KeyError) as error:
        raise OpsError(
            f"{spec.names.ROLLOUT_OBJECT} cannot be read: {error}",
            why="it says which share of the payments takes which way, and what was begun",
            fix="use the release of sluice that wrote it; its older versions are kept in the bucket",
        ) from error
