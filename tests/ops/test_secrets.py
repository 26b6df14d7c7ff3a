"""Rotations: no token in flight is refused at any moment of one, and a run that dies anywhere is gone on with."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import spec
from ops import place as places
from ops import specs, stack_config
from ops.errors import OpsError
from ops.home import ROOT, Home
from ops.output import Output
from ops.place import Place
from ops.rollout import images, lock
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, text
from ops.rollout.store import Store
from ops.secrets import deployed, rotation, values
from ops.secrets.kept import Book, Step
from ops.secrets.rotation import Walk
from ops.verbs import secrets
from service_code.kit import keys, logs
from service_code.kit.tokens import HostPayClaim, Purpose, Tokens
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import call
from tests.ops.hands import Hands, Sluice, at_hand, sluice, stack
from tests.service_code.test_tokens import claim

__all__ = ["at_hand", "sluice", "stack"]

HOSTPAY, IPN = "TPS_HOSTPAY_SIGNING_KEY", "PROCESSOR_IPN_KEY"
BUCKET = f"{PROJECT}-sluice-rollout"
FIRST = {HOSTPAY: "o" * 64, IPN: "ipn-of-old-0123456789"}
DAY = 24 * 3600.0


class Fleet(deployed.Deployed):
    """The readers as processes that are replaced one after the other; every switch is a moment that payments see."""

    #: Reader -> the version that it runs with.
    runs: dict[str, str]
    #: Tokens in flight, with the time of their minting.
    flying: list[tuple[datetime, str]]
    writes: Callable[[], None]

    def __init__(self, place: Place, name: str, out: Output) -> None:
        super().__init__(place, name, out)
        self._fleet_values, self._at = values.Values(place, name), place

    def value(self, reader: str) -> str:
        return self._fleet_values.read(self.runs[reader])

    def apply(self) -> None:
        for reader in self.readers:
            if self.runs[reader] != self.pinned:
                type(self).writes()
                self.runs[reader] = self.pinned
                self.live()
        type(self).writes()

    def served(self, version: str) -> None:
        behind = [reader for reader in self.readers if self.runs[reader] != version]
        if behind:
            raise deployed.NotServed(f"{behind} run with another version")

    def live(self) -> None:
        """Everybody mints, and everybody reads whatever is in flight."""
        if self._name != HOSTPAY:
            return
        now = self._at.now()
        made = [Tokens(self.value(reader), Purpose.HOSTPAY_EXECUTION, HostPayClaim) for reader in self.readers]
        self.flying += [(now, tokens.mint(claim())) for tokens in made]
        self.flying[:] = [one for one in self.flying if (now - one[0]).total_seconds() < DAY]
        for tokens in made:
            for _, token in self.flying:
                assert tokens.read(token)


@pytest.fixture
def world(at_hand: Hands, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Fleet]]:
    (at_hand.home / stack_config.OVERLAY).unlink(missing_ok=True)
    call(at_hand.place, "POST", f"/storage/v1/b?project={PROJECT}", {"name": BUCKET, "location": "us-central1"})
    Home(at_hand.home).write("secrets.json", dict(FIRST))
    for name, value in FIRST.items():
        path = f"/v1/projects/{PROJECT}/secrets"
        call(at_hand.place, "POST", f"{path}?secretId={name}", {"replication": {"automatic": {}}})
        add(at_hand, name, value)

    class Ours(Fleet):
        """The fleet of one test."""

    Ours.runs = {service.name: "1" for service in specs.load("local").services.values()}
    Ours.flying, Ours.writes = [], staticmethod(lambda: None)

    monkeypatch.setattr(rotation, "Deployed", Ours)
    logs.configure("gcsplit", PROJECT, io.StringIO())
    yield Ours
    gone = here()
    for name in FIRST:
        gone.call("secretmanager", "DELETE", f"projects/{PROJECT}/secrets/{name}")
    for one in gone.call("storage", "GET", f"b/{BUCKET}/o").get("items", []):
        gone.call("storage", "DELETE", f"b/{BUCKET}/o/{quote(one['name'], safe='')}")
    gone.call("storage", "DELETE", f"b/{BUCKET}")


def add(at: Hands, name: str, value: str) -> None:
    payload = {"payload": {"data": base64.b64encode(value.encode()).decode()}}
    call(at.place, "POST", f"/v1/projects/{PROJECT}/secrets/{name}:addVersion", payload)


def here() -> Place:
    return places.of("local")


def walk(name: str = HOSTPAY) -> Walk:
    system = specs.load("local")
    return Walk(here(), system.secrets[name], system, Output(as_json=True))


def states(name: str = HOSTPAY) -> dict[int, str]:
    return {one.number: one.state for one in values.Values(here(), name).versions()}


def used(at: Hands, key_id: str) -> None:
    """A service says that a key verified a token."""
    line = {"event": keys.OLD_KEY, "key_id": key_id}
    entry = {"logName": f"projects/{PROJECT}/logs/run", "resource": {"type": "global"}, "jsonPayload": line}
    call(at.place, "POST", "/v2/entries:write", {"entries": [entry]})


def test_a_key_of_ours_is_rotated_and_nothing_in_flight_is_refused(
    at_hand: Hands,
    world: type[Fleet],
    sluice: Sluice,
) -> None:
    code, said = sluice("secrets", "rotate", HOSTPAY)
    heard = [said]
    assert (code, sorted(said["served"])) == (0, [Step.ACCEPTING, Step.SIGNING])
    assert said["waits"]["seconds"] >= DAY - 60
    assert "both values are in use; rotate, run again from 20" in secrets.stands(Book(here()).read(HOSTPAY)[0])
    fleet = Fleet.__new__(world)
    Fleet.__init__(fleet, here(), HOSTPAY, Output(as_json=True))
    both = fleet.value("gcsplit").splitlines()
    assert both[1] == FIRST[HOSTPAY], "the new key signs"
    assert json.loads((at_hand.home / "secrets.json").read_text())[HOSTPAY].splitlines() == both
    fleet.live()
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert said["waits"], "nothing is done before its time"
    at_hand.advance(DAY - 3600)
    used(at_hand, said["old"])
    at_hand.advance(3700)
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert "somebody still signs with it" in said["waits"]["why"]
    assert states() == {1: "ENABLED", 2: "ENABLED", 3: "ENABLED"}
    at_hand.advance(DAY)
    fleet.live()
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert (code, said["waits"]) == (0, None)
    assert fleet.value("gchostpay") == both[0]
    assert states() == {1: "DISABLED", 2: "DISABLED", 3: "DISABLED", 4: "ENABLED"}
    fleet.live()
    code, said = sluice("secrets", "rotate", HOSTPAY, "--finish")
    assert said["waits"], "they could be enabled again for as long"
    at_hand.advance(DAY + 60)
    code, said = sluice("secrets", "rotate", HOSTPAY, "--finish")
    assert (code, bool(said["destroyed"])) == (0, True)
    assert states() == {1: "DESTROYED", 2: "DESTROYED", 3: "DESTROYED", 4: "ENABLED"}
    steps = [one["step"] for one in at_hand.audits("secrets rotate")[:3]]
    assert steps == [Step.ALONE, Step.SIGNING, Step.ACCEPTING]
    kept = call(at_hand.place, "GET", f"/storage/v1/b/{BUCKET}/o/rotations%2F{HOSTPAY}.json?alt=media")
    shown = json.dumps(kept) + json.dumps(at_hand.audits("secrets rotate")) + json.dumps(heard)
    assert not [key for key in both if key in shown], "no value anywhere but in Secret Manager and the owner's home"


def test_an_audit_entry_that_is_refused_stops_no_rotation_halfway(
    world: type[Fleet], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise OpsError("logging.logEntries.create is missing")

    monkeypatch.setattr(places.Place, "audit", refuses)
    one = walk()
    one.begin()
    assert one.go_on() is not None, "both values are in use, and the old one waits"
    assert {world.runs[name] for name in ("gcsplit", "gchostpay")} == {"3"}
    assert capsys.readouterr().err.count("no audit entry of it was written: logging.logEntries.create is missing") == 2


class KilledError(BaseException):
    """The process died."""


def test_a_run_that_dies_between_any_two_writes_is_gone_on_with(
    at_hand: Hands,
    world: type[Fleet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = [0]

    def write() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    real = places.Place.call

    def called(self: Place, api: str, method: str, path: str, *words: Any, **more: Any) -> Any:
        reads = method == "GET" or path.endswith("entries:list")
        if not reads:
            write()
        answer = real(self, api, method, path, *words, **more)
        if not reads:
            write()
        return answer

    monkeypatch.setattr(places.Place, "call", called)
    world.writes = staticmethod(write)

    def run() -> Any:
        one = walk()
        if one.rotation is not None and one.rotation.over:
            return None  # it died behind the last word
        if not one.runs:
            one.begin()
        return one.go_on()

    deaths = 0
    gap = 1  # each life is a little longer than the one before, so that each write is the last of one
    while True:
        left[0] = gap
        try:
            waiting = run()
        except KilledError:
            deaths, gap = deaths + 1, 1 + gap % 9
            continue
        if waiting is None:
            break
        left[0] = 0
        at_hand.advance(waiting.seconds + 1)
    left[0] = 0
    found, _ = Book(here()).read(HOSTPAY)
    assert found is not None
    assert found.over
    assert deaths > 10
    assert len(states()) == 4, "no version was made twice"
    assert [number for number, state in states().items() if state == "ENABLED"] == [4]
    assert set(world.runs[name] for name in ("gcsplit", "gchostpay")) == {"4"}


def test_two_at_once_are_refused_and_so_is_one_during_a_rollout_or_with_a_way_back(
    at_hand: Hands,
    world: type[Fleet],
    sluice: Sluice,
) -> None:
    with lock.held(here(), "secrets rotate"):
        code, said = sluice("secrets", "rotate", HOSTPAY)
    assert code == 1
    assert "has the lock" in said["error"]["what"]
    one, other = walk(), walk()
    one.begin()
    with pytest.raises(OpsError, match="somebody else has written"):
        other.begin()
    stack_config.change("local", {"sluice:releases": {"gcsplit": {"stable": "gcsplit-1", "previous": "gcsplit-0"}}})
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert "rollout finish gcsplit --stack local" in said["error"]["fix"]
    stack_config.change("local", {"sluice:releases": {"gcsplit": {"keep_until": "2099-12-07T00:00:00Z"}}})
    code, said = sluice("secrets", "rotate", HOSTPAY, "--dry-run", yes=False)
    assert (code, "finish gcsplit --force --stack local" in said["error"]["fix"]) == (1, True), "before its time, too"
    left = {"sluice:releases": {"gcsplit": {"stable": "gcsplit-1", "canary": "gcsplit-2"}}}
    stack_config.change("local", left, ["sluice:releases"])
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert (code, "./sluice rollback gcsplit" in said["error"]["fix"]) == (1, True)
    assert len(states()) == 1


def test_a_reader_whose_traffic_names_a_revision_gets_the_new_ones_name_with_the_new_value(
    at_hand: Hands, world: type[Fleet], sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def template(_place: Place, service: str, _entry: Any, over: Any) -> str:
        return f"{service}-{over[deployed.PINNED][HOSTPAY]}"

    monkeypatch.setattr(deployed, "template_of", template)
    stack_config.change("local", {"sluice:releases": {"gcsplit": {"stable": "gcsplit-9"}}})
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert "gcsplit is declared as gcsplit-1" in said["error"]["what"], "whatever else has changed would come with it"
    stack_config.change("local", {"sluice:releases": {"gcsplit": {"stable": "gcsplit-1"}}})
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert (code, sorted(said["served"])) == (0, [Step.ACCEPTING, Step.SIGNING])
    assert specs.config_of("local").releases["gcsplit"].stable == "gcsplit-3"


def test_a_key_is_changed_at_once_after_a_release_was_rolled_back_which_stays_refused_with_the_new_one(
    at_hand: Hands, world: type[Fleet], sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = "sha256:" + "b" * 64

    def template(_place: Place, service: str, entry: Any, over: Any) -> str:
        code = "bad" if entry.get("digest") == bad else "good"
        return f"{service}-{code}{over[deployed.PINNED][HOSTPAY]}"

    def image(_place: Place, _service: str, revision: str) -> str:
        if revision != "gcsplit-bad1":  # what it would be called is no revision
            raise OpsError(f"there is no {revision}")
        return bad

    monkeypatch.setattr(deployed, "template_of", template)
    monkeypatch.setattr(images, "of", image)
    now = here().now()
    tried = Rollout(
        id=identity("gcsplit", now), target="gcsplit", kind=Kind.RELEASE, phase=Phase.ROLLED_BACK, who="tester",
        rules=Rules(steps=(100,), first_dwell=0, dwell=0, keep=0), began=text(now), percent=0, wanted=0,
        since=text(now), stable="gcsplit-good1", canary="gcsplit-bad1",
    )  # fmt: skip
    Store(here()).remember(tried)
    stack_config.change(
        "local", {"sluice:releases": {"gcsplit": {"stable": "gcsplit-good1", "rolled_back": "gcsplit-bad1"}}}
    )
    code, said = sluice("secrets", "rotate", HOSTPAY)
    assert (code, sorted(said["served"])) == (0, [Step.ACCEPTING, Step.SIGNING]), said
    entry = specs.config_of("local").releases["gcsplit"]
    assert (entry.stable, entry.rolled_back) == ("gcsplit-good3", "gcsplit-bad3")


def test_a_partners_key_comes_from_a_file_and_both_are_accepted_until_the_old_one_is_not_used(
    at_hand: Hands,
    world: type[Fleet],
    sluice: Sluice,
    tmp_path: Path,
) -> None:
    code, said = sluice("secrets", "rotate", IPN)
    assert (code, "the new value" in said["error"]["what"]) == (2, True)
    file = tmp_path / "new"
    file.write_text("ipn-of-new-0123456789\n")
    for words in ("short", "two\nlines-of-a-value-that-is-long"):
        (tmp_path / "bad").write_text(words)
        assert sluice("secrets", "rotate", IPN, "--from-file", str(tmp_path / "bad"))[0] == 2
    code, said = sluice("secrets", "rotate", IPN, "--from-file", str(file))
    assert (code, sorted(said["served"])) == (0, [Step.BOTH])
    assert values.Values(here(), IPN).read(2).splitlines() == ["ipn-of-new-0123456789", FIRST[IPN]]
    code, said = sluice("secrets", "rotate", IPN, "--force")
    assert (code, said["waits"]) == (0, None), "whoever has lost a key need not wait"
    assert values.Values(here(), IPN).read(world.runs["gcwebhook"]) == "ipn-of-new-0123456789"


def test_what_is_no_rotation_is_refused_and_a_dry_run_changes_nothing(
    at_hand: Hands,
    world: type[Fleet],
    sluice: Sluice,
) -> None:
    assert sluice("secrets", "rotate", "NO_SUCH_KEY")[0] == 2
    code, said = sluice("secrets", "rotate", "HOST_WALLET_PRIVATE_KEY")
    assert (code, "wallet" in said["error"]["why"]) == (1, True)
    assert sluice("secrets", "rotate", HOSTPAY, "--from-file", "-")[0] == 2
    code, said = sluice("secrets", "rotate", HOSTPAY, "--dry-run", yes=False)
    assert (code, len(said["plan"])) == (0, 4)
    assert states() == {1: "ENABLED"}
    assert Book(here()).read(HOSTPAY) == (None, 0)


def test_an_old_key_stays_as_long_as_what_it_signs_may_be_shown() -> None:
    system = spec.load(ROOT)
    waits = {name: rotation.wait_of(system.secrets[name], system).days for name in ("REGISTRATION_KEY", HOSTPAY)}
    assert waits["REGISTRATION_KEY"] == 90
    assert 1 <= waits[HOSTPAY] <= 31
