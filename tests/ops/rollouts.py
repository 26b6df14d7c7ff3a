"""A place in which shares are rolled out: a local cloud inside the test, with a bucket, a record and one tiny service.

What the program would apply is stood in for by a few lines that do the same writes from config, so that a rollout's
writes can be counted and cut short; the whole program is applied elsewhere. Nothing here waits: a pause moves the
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.cloud import Cloud
from ops.place import Local
from ops.rollout import record, traffic
from ops.rollout.effects import Effects
from ops.rollout.lock import Lock, acquire
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, text
from ops.rollout.store import Objects, Store
from ops.rollout.traffic import Roles, targets
from ops.rollout.walk import Walker
from ops.rollout.written import Written
from spec.names import LOCK_OBJECT, RECORD_OBJECT
from spec.record import encode
from tests.local_cloud.cloud_places import inside
from tests.local_cloud.run_client import Runner, to

HOUR = 3600.0
SERVICE = "gcsplit"
STABLE, CANARY = "gcsplit-s", "gcsplit-t"


class Killed(BaseException):
    """The process is gone at this point."""


@dataclass(frozen=True)
class Says:
    """What the gates say in a test."""

    kind: str
    why: str = "as told"

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "why": self.why, "gates": []}


@dataclass
class World:
    """One stack."""

    place: Local
    runner: Runner
    #: Stack config, as far as a rollout writes it, and what was applied of it.
    shares: dict[str, int] = field(default_factory=dict)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    verdict: Says = field(default_factory=lambda: Says("healthy"))
    told: list[str] = field(default_factory=list)
    dwell: float = HOUR
    #: After so many writes the process is killed; None lets it live.
    lives: int | None = None
    writes: int = 0
    #: It is, and whatever it had begun ends with it.
    dead: bool = False
    #: What happens in the middle of an apply: after the record, and before the service.
    in_apply: Callable[[], None] = lambda: None
    #: Real seconds that a walk has waited.
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        call = self.place.call

        def counted(api: str, method: str, path: str, *rest: Any, **more: Any) -> Any:
            if not _locks(path, more):
                self.lives_on()
            found = call(api, method, path, *rest, **more)
            if method != "GET" and not path.endswith("entries:list") and not _locks(path, more):
                self.wrote()
            return found

        self.place.call = counted  # type: ignore[method-assign]

    @property
    def store(self) -> Store:
        return Store(self.place)

    def wrote(self) -> None:
        """One more write; the process may not survive it."""
        self.writes += 1
        if self.lives is not None and self.writes >= self.lives:
            self.lives, self.dead = None, True
            raise Killed

    def lives_on(self) -> None:
        """A process that was killed does nothing more, in no thread of it."""
        if self.dead:
            raise Killed

    @property
    def record(self) -> dict[str, Any]:
        return dict(record.read(Objects(self.place)).json)

    def roles(self) -> Roles:
        return traffic.read(self.place, SERVICE)

    def effects(self) -> Effects:
        made = Effects(self.place, configure=self.configure, apply=self.apply, declared=self.declared)
        client = made.services
        update = client.update_service

        class Counted:
            """The client, whose updates count as writes."""

            get_service = staticmethod(client.get_service)

            @staticmethod
            def update_service(*rest: Any, **more: Any) -> Any:
                self.lives_on()
                found = update(*rest, **more)
                self.wrote()
                return found

        made.__dict__["services"] = Counted
        return made

    def configure(self, change: Written) -> None:
        self.lives_on()
        for name, share in change.shares.items():
            self.shares.pop(name, None)
            if share is not None:
                self.shares[name] = share
        for name, entry in change.releases.items():
            assert entry is not None
            self.releases[name] = dict(entry)
        self.wrote()

    def apply(self, service: str | None) -> None:
        """What the program's apply does: the record and the service's traffic, from config."""
        objects = Objects(self.place)
        kept = objects.read(RECORD_OBJECT)
        declared = self.declared()
        if kept.data != declared:
            objects.write(RECORD_OBJECT, declared, over=kept.generation)
        self.in_apply()
        if service is not None:
            self.lives_on()
            self.runner.update(self.wanted())
            self.wrote()

    def declared(self) -> bytes:
        """The record that config declares."""
        value = {
            "version": 1,
            "routes": {"payout": {"percent": self.shares.get("payout", 0), "salt": "payout"}},
            "releases": {
                name: {"percent": self.shares.get(name, 0), "salt": entry["canary"], "canary": entry["canary"]}
                for name, entry in self.releases.items()
                if "canary" in entry
            },
        }
        return encode(value).encode()

    def wanted(self) -> Any:
        """The service that config declares: template and traffic."""
        entry = self.releases.get(SERVICE, {"stable": STABLE})
        canary = entry.get("canary", "")
        template = canary if canary else entry["stable"]
        service = self.runner.service(SERVICE, revision=template, labels={"of": template})
        service.name = f"{self.place.parent}/services/{SERVICE}"
        roles = Roles(stable=entry["stable"], canary=canary, previous=entry.get("previous", ""))
        service.traffic = [to(**target) for target in targets(roles)]
        return service

    def lock(self) -> Lock:
        return acquire(self.place, "a test")

    @contextmanager
    def walker(self) -> Iterator[Walker]:
        lock = self.lock()
        try:
            yield Walker(
                self.place, self.store, self.effects(), lock,
                look=lambda _rollout, _now: self.verdict, probe=lambda _: "", tell=self.told.append, pause=self.pass_,
                every=0.02, sleep=self.slept.append,
            )  # fmt: skip
        finally:
            lock.release()

    def walk(self, until: Callable[[Rollout], bool] = lambda _: False) -> Rollout:
        """Walk in this process, with a lock of its own."""
        self.dead = False
        with self.walker() as walker:
            return walker.walk(until)

    def pass_(self, seconds: float = HOUR) -> None:
        """Time passes."""
        self.place.cloud.admin("POST", "clock:advance", {"seconds": seconds, "wait": 0})

    def begin(self, target: str = "payout", *, steps: tuple[int, ...] = (10, 50, 100)) -> Rollout:
        """A rollout's state before its first step."""
        release = target == SERVICE
        now = self.place.now()
        made = Rollout(
            id=identity(target, now), target=target, kind=Kind.RELEASE if release else Kind.ROUTE,
            phase=Phase.PREPARING if release else Phase.RUNNING, who="tester",
            rules=Rules(steps=steps, first_dwell=2 * self.dwell, dwell=self.dwell, keep=14 * 24 * HOUR),
            began=text(now), percent=0, wanted=0, since=text(now), stable=STABLE if release else "",
            canary=CANARY if release else "",
        )  # fmt: skip
        self.store.write(made, self.store.read()[1])
        return made

    def settled(self) -> bool:
        """Whether what is in force is what config declares, so that an apply finds nothing to do."""
        objects = Objects(self.place)
        if objects.read(RECORD_OBJECT).data != self.declared():
            return False
        found = self.runner.services.get_service(name=f"{self.place.parent}/services/{SERVICE}")
        plain = [(t.revision.rpartition("/")[2], t.percent, t.tag) for t in found.traffic]
        return plain == [(t.revision, t.percent, t.tag) for t in self.wanted().traffic]

    def held(self) -> bool:
        return Objects(self.place).held(RECORD_OBJECT)

    def log(self) -> list[dict[str, Any]]:
        """The audit entries."""
        found = self.place.cloud.logs(self.place.project, 'log_id("sluice-operations")')
        return [dict(entry["jsonPayload"], severity=entry["severity"]) for entry in found]


def _locks(path: str, more: dict[str, Any]) -> bool:
    """Whether a call is about the lock: a process that is dead holds none, and this one lives."""
    return LOCK_OBJECT in (path.rpartition("/")[2], (more.get("query") or {}).get("name"))


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A world of its own."""
    with inside(folder / "cloud") as cloud:
        place = Local(Cloud(cloud.rest))
        bucket = Objects(place).bucket
        made = {"name": bucket, "versioning": {"enabled": True}}
        place.call("storage", "POST", "b", made, query={"project": place.project})
        runner = Runner(cloud, folder / "image")
        runner.create(SERVICE, revision=STABLE, labels={"of": STABLE})
        found = World(place, runner)
        Objects(place).write(RECORD_OBJECT, found.declared(), over=0)
        runner.update(found.wanted())
        yield found


def clear(here: World) -> None:
    """The same world again, as it was before anything was rolled out."""
    here.lives, here.dead, here.writes, here.told, here.slept = None, False, 0, [], []
    here.in_apply = lambda: None
    here.shares, here.releases, here.verdict = {}, {}, Says("healthy")
    objects = Objects(here.place)
    record.release(objects)
    for name in objects.names(""):
        if name != RECORD_OBJECT:
            objects.delete(name, generation=objects.read(name).generation)
    kept = objects.read(RECORD_OBJECT)
    if kept.data != here.declared():
        objects.write(RECORD_OBJECT, here.declared(), over=kept.generation)
    here.runner.update(here.wanted())
