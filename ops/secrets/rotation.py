"""Walks a rotation: each value is made, pinned, applied and seen at all readers before the next; then the old one goes.

A step is written down before it is begun and after it is done, and each part of it finds what was done already, so that
a run that was killed anywhere is gone on with by the next. The caller holds the lock. Owns the order, the time that an
old key stays, and the refusals; leaves what is kept to kept.py and what is deployed to deployed.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import spec
from ops.auditing import audited
from ops.errors import BadUsage, OpsError
from ops.output import Output
from ops.place import Place
from ops.rollout.state import shown, text
from ops.secrets import usage
from ops.secrets.deployed import Deployed
from ops.secrets.kept import STEPS, Book, Rotation, Step
from ops.secrets.values import Values, key_id, lines, new_key
from spec.secret import Rotation as Kind

#: An old key stays for so long at least.
SHORTEST = timedelta(hours=24)


@dataclass(frozen=True)
class Waiting:
    """Nothing can be done now: since when, until when, and what happens then."""

    why: str
    seconds: float


class Walk:
    """One secret's rotation in one place."""

    def __init__(
        self, place: Place, secret: spec.Secret, system: spec.System, out: Output, *, deployed: Deployed | None = None
    ) -> None:
        self._place, self._secret, self._out = place, secret, out
        self._name = secret.name
        self._wait = wait_of(secret, system).total_seconds()
        self._values, self._book = Values(place, secret.name), Book(place)
        self._deployed = deployed or Deployed(place, secret.name, out)
        self.rotation, self._generation = self._book.read(secret.name)

    @property
    def runs(self) -> bool:
        """Whether one was begun whose old key is still in use."""
        return self.rotation is not None and not self.rotation.over

    def begin(self, value: str = "") -> Rotation:
        """Write down where it begins; `value` is what somebody else has issued."""
        if self.rotation is not None and not self.rotation.destroyed and self.rotation.over:
            raise OpsError(
                f"the last rotation of {self._name} is not finished: its old versions are disabled, not destroyed",
                why="of two rotations nobody could say which versions are whose",
                fix=f"./sluice secrets rotate {self._name} --finish --stack {self._place.stack}",
            )
        pinned = self._deployed.pinned
        before = self._values.read(pinned)
        if self._secret.rotation.several and len(lines(before)) != 1:
            raise OpsError(
                f"version {pinned} of {self._name} has {len(lines(before))} keys",
                why="somebody has begun to change it by hand, and nobody can say which key is to go",
                fix="pin a version with the one key that is to be replaced, apply it, and rotate then",
            )
        newest = max((one.number for one in self._values.versions()), default=int(pinned))
        signs = self._secret.rotation.several
        self._keep(
            Rotation(
                name=self._name,
                kind=self._secret.rotation,
                who=self._place.who,
                began=text(self._place.now()),
                before=pinned,
                newest=newest,
                old=key_id(lines(before)[0]) if signs else "",
                new=key_id(value) if signs and value else "",
                wait=self._wait,
            )
        )
        assert self.rotation is not None
        return self.rotation

    def go_on(self, value: str = "", *, force: bool = False) -> Waiting | None:
        """Take the steps that can be taken; what it waits for, or None where the old key is out of use."""
        rotation = self.rotation
        assert rotation is not None
        self._deployed.free()
        for step in rotation.left:
            if step is rotation.steps[-1] and (waiting := self._stays(force=force)) is not None:
                return waiting
            self._stand(step, value)
        self._retire()
        return None

    def finish(self, *, force: bool = False) -> Waiting | None:
        """Destroy what was disabled, once nothing can want it back."""
        rotation = self.rotation
        if rotation is None or not rotation.over:
            raise OpsError(
                f"{self._name} has no rotation whose old versions are disabled",
                fix=f"./sluice secrets rotate {self._name} --stack {self._place.stack}",
            )
        left = (_moment(rotation.ends()) - self._place.now()).total_seconds()
        if left > 0 and not force:
            return Waiting("the old versions stay disabled, so that they could be enabled again", left)
        alone = rotation.versions[rotation.steps[-1]]
        for one in self._values.versions():
            if one.number < int(alone) and one.state == "DISABLED":
                self._values.destroy(one)
        if not rotation.destroyed:
            audited(self._place, self._out.warn, "secrets finish", self._name, kept=alone)
            self._keep(replace(rotation, destroyed=text(self._place.now())))
            self._out.step(f"{self._name}: the versions before {alone} are destroyed")
        return None

    def plan(self) -> list[str]:
        """What would be done, in words; refused where it would be."""
        self._deployed.free()
        rotation = self.rotation if self.runs else None
        steps = rotation.left if rotation else STEPS[self._secret.rotation]
        said = {
            Step.ACCEPTING: "a version [old key, new key]: all readers know both, the old one signs",
            Step.SIGNING: "a version [new key, old key]: the new one signs, both are known",
            Step.BOTH: "a version [new key, old key]: both are accepted from whoever signs with it",
            Step.ALONE: "a version with the new value alone",
        }
        readers = ", ".join(self._deployed.readers)
        found = [f"{said[step]}; pinned, applied to {readers}, and seen there" for step in steps]
        if len(STEPS[self._secret.rotation]) > 1:
            found[-1] = f"after {shown(self._wait)} without use of the old key: {found[-1]}"
        return [*found, f"the versions before are disabled, and destroyed {shown(self._wait)} later by --finish"]

    def _stays(self, *, force: bool) -> Waiting | None:
        """Why the old key cannot go yet."""
        rotation = self.rotation
        assert rotation is not None
        now = self._place.now()
        left = (_moment(rotation.retires()) - now).total_seconds()
        if len(rotation.steps) < 2 or force:
            return None
        if left > 0:
            return Waiting("what the old key has signed may still be on its way", left)
        used = usage.of(self._place, rotation.old, now - timedelta(seconds=rotation.wait))
        if used.last is not None:
            free = used.last + timedelta(seconds=rotation.wait)
            return Waiting(f"{used.said(now)}: somebody still signs with it", (free - now).total_seconds())
        return None

    def _stand(self, step: Step, value: str) -> None:
        """Make a step's version, pin it, apply it, and see it at all readers."""
        rotation = self.rotation
        assert rotation is not None
        if step not in rotation.versions:
            version = self._made(step, value)
            keys = lines(self._values.read(version))
            if rotation.kind.several and not rotation.new:
                rotation = replace(rotation, new=next(key_id(key) for key in keys if key_id(key) != rotation.old))
            self._keep(rotation.made(step, version))
            self._out.step(f"{self._name} has version {version}", _said(step))
        rotation = self.rotation
        assert rotation is not None
        version = rotation.versions[step]
        self._deployed.remember(self._values.read(version))
        self._deployed.pin(version)
        self._deployed.apply()
        self._deployed.served(version)
        audited(self._place, self._out.warn, "secrets rotate", self._name, step=str(step), secret_version=version)
        self._keep(rotation.stood(step, self._place.now()))
        self._out.step(f"all readers have version {version}", ", ".join(self._deployed.readers))

    def _made(self, step: Step, value: str) -> str:
        """The number of a step's version: one that an interrupted run has made, or a new one."""
        rotation = self.rotation
        assert rotation is not None
        fits, make = self._recipe(step, value)
        after = max([rotation.newest, *(int(number) for number in rotation.versions.values())])
        return self._values.found(after, fits) or self._values.add(make())

    def _recipe(self, step: Step, value: str) -> tuple[Callable[[str], bool], Callable[[], str]]:
        """What a step's value looks like, and how it is made."""
        rotation = self.rotation
        assert rotation is not None
        if rotation.versions:  # the keys are known: the last value has both
            both = lines(self._values.read(rotation.versions[rotation.steps[len(rotation.versions) - 1]]))
            new, old = sorted(both, key=lambda key: key_id(key) == rotation.old)
            wanted = [new, old] if step is Step.SIGNING else [new]
            return lambda kept: lines(kept) == wanted, lambda: "\n".join(wanted)
        old = self._values.read(rotation.before)
        if step is Step.ACCEPTING:
            key = lines(old)[0]
            return (
                lambda kept: len(lines(kept)) == 2 and lines(kept)[0] == key and lines(kept)[1] != key,
                lambda: f"{key}\n{new_key()}",
            )
        wanted_value = f"{value}\n{lines(old)[0]}" if step is Step.BOTH else value
        if not value:
            raise BadUsage(
                f"the new value of {self._name} is missing",
                why="somebody else issues it; it is never written on a command line",
                fix=f"./sluice secrets rotate {self._name} --from-file FILE, or - for standard input",
            )
        return lambda kept: kept == wanted_value, lambda: wanted_value

    def _retire(self) -> None:
        """Disable all versions but the last one."""
        rotation = self.rotation
        assert rotation is not None
        alone = rotation.versions[rotation.steps[-1]]
        for one in self._values.versions():
            if one.enabled and one.number < int(alone):
                self._values.disable(one)
        if not rotation.disabled:
            audited(self._place, self._out.warn, "secrets retire", self._name, kept=alone)
            self._keep(replace(rotation, disabled=text(self._place.now())))
            self._out.step(f"{self._name}: the versions before {alone} are disabled")

    def _keep(self, rotation: Rotation) -> None:
        self._generation = self._book.write(rotation, self._generation)
        self.rotation = rotation


def wait_of(secret: spec.Secret, system: spec.System) -> timedelta:
    """How long after a change something that the old key has signed may still be shown."""
    readers = {service.name for service in system.consumers(secret.name)}
    seconds = [SHORTEST.total_seconds(), secret.good_for.seconds]
    for queue in system.queues.values():
        if queue.receiver in readers or readers & set(queue.senders):
            spans = [queue.token_window, queue.retry.task_age_limit]
            spans += [queue.token.give_up_after] if queue.token.is_patient else []
            seconds += [span.seconds for span in spans if span is not None]
    return timedelta(seconds=max(seconds))


def refuse(secret: spec.Secret) -> None:
    """Refuse what is not changed in this way."""
    if secret.rotation is Kind.NEVER:
        raise OpsError(
            f"{secret.name} is a wallet's key, and a wallet is not rotated",
            why="what is signed and not mined would be paid again by another wallet, and the money would stay",
            fix="move the money and the payouts to a new wallet: docs/adr/host-wallet.md",
        )


def checked(secret: spec.Secret, value: str) -> str:
    """A value of somebody else's as it is kept, or a refusal of what its readers would refuse."""
    found = value.strip()
    if "\n" in found:
        raise BadUsage(f"the new value of {secret.name} has several lines", fix="give the new value alone")
    if len(found) < secret.min_length:
        raise BadUsage(
            f"the new value of {secret.name} has {len(found)} characters, fewer than {secret.min_length}",
            why="every service that reads it would refuse to start",
            fix="give the whole value",
        )
    return found


def _said(step: Step) -> str:
    return {Step.ACCEPTING: "the new key is known", Step.SIGNING: "the new key signs"}.get(step, "")


def _moment(found: datetime | None) -> datetime:
    assert found is not None
    return found
