"""Where one rotation stands, as `rotations/NAME.json` of the rollout bucket keeps it: numbers, times, ids of keys.

Every step is written down before and after it is taken, so that whoever dies leaves it to the next to go on. Owns the
values, the steps of each kind, and their JSON form; no secret value is among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import spec
from ops.errors import OpsError
from ops.place import Place
from ops.rollout.state import moment, text
from ops.rollout.store import Objects, encoded
from spec.secret import Rotation as Kind

#: The form of the object; a reader of another one says so.
VERSION: Final = 1


class Step(StrEnum):
    """A value that all readers have before the next one is made."""

    #: The old key signs, the new one is known.
    ACCEPTING = "accepting"
    #: The new key signs, the old one is known.
    SIGNING = "signing"
    #: Both of somebody else's keys are known.
    BOTH = "both"
    #: The new key alone.
    ALONE = "alone"


#: The steps of each kind, in their order.
STEPS: Final[Mapping[Kind, tuple[Step, ...]]] = {
    Kind.SIGN: (Step.ACCEPTING, Step.SIGNING, Step.ALONE),
    Kind.ACCEPT: (Step.BOTH, Step.ALONE),
    Kind.REPLACE: (Step.ALONE,),
}


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One rotation of one secret."""

    name: str
    kind: Kind
    who: str
    began: str
    #: The version that the stack pinned before, and the newest that there was: what is younger was made for this.
    before: str
    newest: int
    #: Ids of the keys, by which the log names them; empty where the secret signs nothing of ours.
    old: str = ""
    new: str = ""
    #: How long a step must stand before the old key goes, in seconds.
    wait: float = 0.0
    #: Step -> its version, once there is one; and when all readers had it.
    versions: Mapping[str, str] = field(default_factory=dict)
    served: Mapping[str, str] = field(default_factory=dict)
    #: When the versions before were disabled, and destroyed.
    disabled: str = ""
    destroyed: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that it has."""
        return STEPS[self.kind]

    @property
    def left(self) -> tuple[Step, ...]:
        """The steps that not all readers have yet."""
        return tuple(step for step in self.steps if step not in self.served)

    @property
    def over(self) -> bool:
        """Whether the old key is out of use; its versions may still be there, disabled."""
        return bool(self.disabled)

    def retires(self) -> datetime | None:
        """When the old key may go; None before all readers had both."""
        if len(self.steps) < 2:
            return moment(self.began)
        last = self.served.get(self.steps[-2])
        return moment(last) + timedelta(seconds=self.wait) if last else None

    def ends(self) -> datetime | None:
        """When the disabled versions may be destroyed."""
        return moment(self.disabled) + timedelta(seconds=self.wait) if self.disabled else None

    def made(self, step: Step, version: str) -> Rotation:
        """With the version of a step."""
        return replace(self, versions={**self.versions, step: version})

    def stood(self, step: Step, now: datetime) -> Rotation:
        """With a step that all readers have."""
        return replace(self, served={**self.served, step: text(now)})

    def as_json(self) -> dict[str, Any]:
        """The form that is kept."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Rotation:
        """The inverse of `as_json`."""
        if kept.get("version") != VERSION:
            raise ValueError(f"version {kept.get('version')!r} of a rotation is not known to this release")
        values = {name: value for name, value in kept.items() if name != "version"}
        return cls(**{**values, "kind": Kind(values["kind"])})


class Book:
    """The rotations of one place; of two who write one of them the second is refused."""

    def __init__(self, place: Place) -> None:
        self._objects = Objects(place)

    def read(self, name: str) -> tuple[Rotation | None, int]:
        """The running or last rotation of a secret, and the generation that it was read as."""
        kept = self._objects.read(_object(name))
        if not kept.there:
            return None, 0
        try:
            return Rotation.from_json(kept.json), kept.generation
        except (ValueError, TypeError, KeyError) as error:
            raise OpsError(
                f"{_object(name)} of {self._objects.bucket} cannot be read: {error}",
                why="it says which versions of the secret are in use, and since when",
                fix="use the release of sluice that wrote it; its older versions are kept in the bucket",
            ) from error

    def write(self, rotation: Rotation, over: int) -> int:
        """Keep it; the new generation."""
        return self._objects.write(_object(rotation.name), encoded(rotation.as_json()), over=over)


def _object(name: str) -> str:
    return f"{spec.names.ROTATIONS_FOLDER}{name}.json"
