"""`sluice rollout` and `sluice rollback` as people use them: what is refused, asked, said and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ops import app, place, specs
from ops.place import Local
from ops.rollout import apply, gates, hands, lock, ready, record
from ops.rollout.effects import ByHand
from ops.rollout.state import Phase, Rollout
from ops.verbs import status
from spec.rollout import Rollout as Rules
from tests.ops.rollouts import CANARY, SERVICE, STABLE, Says, World, clear, world

Run = Callable[..., tuple[int, str]]
#: Enough of the specs.
SYSTEM = SimpleNamespace(
    routes={"payout": SimpleNamespace(salt=None, canary_percent=0)},
    services={SERVICE: None},
    service=lambda _: SimpleNamespace(public=False, operator_paths=()),
    topics_into=lambda _: (),
    queues_into=lambda _: (),
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("verbs")) as made:
        yield made


@pytest.fixture
def here(kept: World, monkeypatch: pytest.MonkeyPatch) -> World:
    clear(kept)
    stopped: list[str] = []
    kept.stopped = stopped  # type: ignore[attr-defined]

    def config(_: Local) -> Any:
        return SimpleNamespace(
            stop=stopped,
            rollout=Rules(),
            image_digest=None,
            releases={name: _entry(entry) for name, entry in kept.releases.items()},
            share=lambda name, default=0: kept.shares.get(name, default),
        )

    monkeypatch.setattr(Local, "config", property(config))
    monkeypatch.setattr(place, "of", lambda _: kept.place)
    monkeypatch.setattr(specs, "load", lambda *_, **__: SYSTEM)
    monkeypatch.setattr(hands, "effects", lambda _place, _out, **_: kept.effects())
    monkeypatch.setattr(gates, "looker", lambda _place, _system: lambda _rollout, _now: kept.verdict)
    monkeypatch.setattr(gates, "sides", lambda _system, _rollout: None)
    monkeypatch.setattr(apply, "template_of", lambda _place, _service, _entry: CANARY)
    monkeypatch.setattr(apply, "configure", lambda _place, change: kept.configure(change))
    monkeypatch.setattr(apply, "apply", lambda _place, _out, service: kept.apply(service))
    monkeypatch.setattr(ready, "probe", lambda *_: "")
    monkeypatch.setattr(time, "sleep", lambda _: kept.pass_())
    return kept


def _entry(entry: dict[str, Any]) -> SimpleNamespace:
    roles = ("stable", "canary", "digest", "rolled_back", "previous", "keep_until")
    found: dict[str, Any] = {role: entry.get(role) for role in roles}
    if found["keep_until"]:
        from datetime import datetime

        found["keep_until"] = datetime.fromisoformat(found["keep_until"])
    return SimpleNamespace(**found)


@pytest.fixture
def sluice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers

    def run(*words: str) -> tuple[int, str]:
        code = app.main(list(words))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_route_is_rolled_out_shown_and_kept(here: World, sluice: Run) -> None:
    code, said = sluice("rollout", "start", "payout", "--steps", "50,100", "--dwell", "1h", "--yes")
    assert code == 0, said
    assert "payout stands at 50 %" in said
    assert "payout is promoted" in said
    found, _ = here.store.read()
    assert found is not None
    assert found.phase is Phase.PROMOTED
    assert sluice("rollout", "status")[1].startswith("payout is promoted")
    assert found.id in sluice("rollout", "history")[1]
    page = sluice("rollout", "show", found.id)[1]
    assert f"# {found.id}" in page
    assert "| 50 % |" in page
    assert json.loads(sluice("rollout", "show", "--json")[1])["phase"] == "promoted"
    assert [entry["verb"] for entry in here.log()][-2:] == ["rollout start", "rollout promoted"]


def test_a_release_that_runs_already_is_not_begun_and_what_to_change_is_said(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "template_of", lambda _place, _service, _entry: STABLE)
    code, said = sluice("rollout", "start", SERVICE, "--image", "sha256:" + "b" * 64, "--yes")
    assert code == 1
    assert f"{STABLE} is what {SERVICE} runs already" in said
    assert f"change the code or the settings of {SERVICE} and give the same command again" in said
    assert here.store.read()[0] is None


def test_a_release_begins_at_0_and_is_taken_back_by_one_command(here: World, sluice: Run) -> None:
    here.verdict = Says("unhealthy", "7 of 60 failed")
    code, said = sluice("rollout", "start", SERVICE, "--image", "sha256:" + "b" * 64, "--yes")
    assert code == 1, said
    assert f"deploying {CANARY} beside {STABLE}" in said
    assert "7 of 60 failed" in said
    assert here.releases[SERVICE] == {"stable": STABLE, "rolled_back": CANARY}
    code, said = sluice("rollout", "start", SERVICE, "--yes")
    assert (code, "is not rolled out again by itself" in said) == (1, True)
    here.verdict = Says("healthy")
    code, said = sluice("rollout", "start", SERVICE, "--yes", "--force", "--dwell", "1h")
    assert code == 0, said
    assert here.roles().stable == CANARY
    code, said = sluice("rollback", SERVICE, "--yes", "--why", "customers say so")
    assert (code, "traffic and record are moved" in said) == (0, True)
    assert here.roles().stable == STABLE
    assert "rolled back already" in sluice("rollback", SERVICE, "--yes")[1]


def test_what_cannot_be_begun_is_refused_with_its_reason(here: World, sluice: Run) -> None:
    def refused(*words: str) -> str:
        before = here.writes
        code, said = sluice("rollout", "start", *words, "--yes")
        assert code, said
        assert here.writes == before
        return said

    assert "did you mean payout?" in refused("payuot")
    assert "no way from 0 to 100" in refused("payout", "--steps", "10,50")
    here.stopped.append("payout")  # type: ignore[attr-defined]
    assert "sluice:stop" in refused("payout")
    here.stopped.clear()  # type: ignore[attr-defined]
    here.shares["payout"] = 30
    assert "are not those of this checkout's config" in refused("payout")
    here.apply(None)
    here.shares["payout"] = 100
    here.apply(None)
    assert "at 100 % already" in refused("payout")
    here.begin(SERVICE)
    assert "a rollout is under way" in refused("payout")


def test_nothing_changes_that_nobody_confirmed(here: World, sluice: Run) -> None:
    here.shares["payout"] = 5
    here.apply(None)
    before = here.writes
    assert "add --yes" in sluice("rollout", "start", "payout")[1]
    assert "would roll out payout" in sluice("rollout", "start", "payout", "--dry-run")[1]
    assert "would roll back payout in local: from 5 % to 0 %" in sluice("rollback", "payout", "--dry-run")[1]
    assert here.writes == before
    here.place.stack = "prod"
    try:
        assert "--confirm prod" in sluice("rollout", "start", "payout", "--yes")[1]
        assert here.writes == before
        assert "not the stack that is meant" in sluice("rollout", "start", "payout", "--yes", "--confirm", "dev")[1]
        assert sluice("rollout", "start", "payout", "--yes", "--confirm", "prod", "--dwell", "1h")[0] == 0
    finally:
        here.place.stack = "local"


def test_it_can_be_paused_raised_and_taken_back_while_nobody_walks(here: World, sluice: Run) -> None:
    here.begin("payout")
    here.walk(lambda now: now.percent == 10)
    assert "held at 10 %" in sluice("rollout", "pause", "--why", "lunch", "--yes")[1]
    code, said = sluice("rollout", "promote", "--to", "50", "--yes")
    assert (code, "the gates at 10 %: healthy" in said) == (0, True), said
    found, _ = here.store.read()
    assert found is not None
    assert (found.percent, found.phase) == (50, Phase.PAUSED)
    assert here.record["routes"]["payout"]["percent"] == 50
    code, said = sluice("rollout", "abort", "--yes")
    assert (code, "without being called bad" in said) == (0, True), said
    assert here.settled()
    assert sluice("rollout", "start", "payout", "--yes", "--dwell", "1h")[0] == 0


def test_one_that_was_left_goes_on_and_what_runs_elsewhere_is_left_to_it(here: World, sluice: Run) -> None:
    here.begin("payout")
    here.walk(lambda now: now.percent == 10)
    held = here.lock()
    try:
        assert "its walk goes on where it runs" in sluice("rollout", "resume", "--yes")[1]
        with pytest.raises(lock.Locked):  # what `sluice up` asks first
            lock.free(here.place)
    finally:
        held.release()
    lock.free(here.place)
    code, said = sluice("rollout", "resume", "--yes")
    assert (code, "payout is promoted" in said) == (0, True), said
    assert "nothing is being rolled out" in sluice("rollout", "resume", "--yes")[1]


def test_one_that_nobody_looks_at_is_said_loudly_until_somebody_walks_it(here: World, sluice: Run) -> None:
    here.begin("payout")
    here.walk(lambda now: now.percent == 10)
    code, said = sluice("rollout", "status")
    assert (code, "NOBODY LOOKS AT IT" in said, "./sluice rollout resume --stack local" in said) == (4, True, True)
    assert sluice("rollout", "status", "--check")[0] == 0, "a pipeline asks whether config is in force"
    left = status.under_way(here.place)
    assert left is not None
    assert not left["watched"]
    held = here.lock()
    try:
        code, said = sluice("rollout", "status")
        assert (code, "NOBODY" in said) == (0, False)
        assert (status.under_way(here.place) or {})["watched"]
    finally:
        held.release()
    assert sluice("rollout", "abort", "--yes")[0] == 0
    assert sluice("rollout", "status")[0] == 0
    assert status.under_way(here.place) is None


def test_ctrl_c_leaves_the_share_and_says_how_to_go_on(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop)
    code, said = sluice("rollout", "start", "payout", "--yes")
    assert (code, "./sluice rollout resume" in said) == (130, True)
    found, _ = here.store.read()
    assert found is not None
    assert (found.phase, found.percent) == (Phase.RUNNING, 10)
    assert here.held()
    assert lock.holder_of(here.place) is None


def test_a_checkout_that_is_not_what_is_in_force_is_told_to_pipelines(here: World, sluice: Run) -> None:
    here.begin("payout")
    here.walk(lambda now: now.percent == 10)
    assert sluice("rollout", "status", "--check")[0] == 0
    here.shares.clear()  # the checkout of somebody else
    code, said = sluice("rollout", "status", "--check")
    assert (code, "are not those of this checkout's config" in said) == (3, True)


def test_what_was_stable_before_is_let_go_of_when_its_time_is_over(here: World, sluice: Run) -> None:
    here.begin(SERVICE)
    here.walk()
    code, said = sluice("rollout", "finish", SERVICE, "--yes")
    assert (code, "is kept until" in said) == (1, True)
    here.pass_(15 * 24 * 3600)
    stood = record.read(here.store.objects)
    here.store.objects.hold("record.json", on=True, generation=stood.generation)  # as a refreshed state has it
    assert sluice("rollout", "finish", SERVICE, "--yes")[0] == 0
    assert not here.held()
    assert here.roles().previous == ""
    assert here.releases[SERVICE] == {"stable": CANARY}
    assert "nothing is kept" in sluice("rollout", "finish", SERVICE, "--yes")[1]
    assert here.settled()


def test_the_apply_at_google_names_what_a_release_changes() -> None:
    assert apply.pulumi("prod", SERVICE) == [
        "pulumi", "up", "--stack", "prod", "--yes", "--skip-preview",
        "--target=**gcp:storage/bucketObject:BucketObject::rollout-record",
        "--target=**gcp:cloudrunv2/job:Job::sluice-migrate",
        "--target=**gcp:cloudrunv2/service:Service::gcsplit",
    ]  # fmt: skip


def test_the_record_is_let_go_of_by_the_command_that_is_said(here: World) -> None:
    assert " ".join(apply.unheld(here.place)) == (
        f"gcloud storage objects update gs://{here.store.objects.bucket}/record.json --no-temporary-hold"
    )


def test_without_the_cli_the_share_is_in_force_and_the_apply_is_left_to_a_person(here: World) -> None:
    here.begin("payout", steps=(100,))
    by_hand = [False]

    def apply_(service: str | None) -> None:
        if not by_hand[0]:
            raise ByHand("no CLI")
        here.apply(service)

    with here.walker() as walker:
        walker.effects.apply = apply_
        with pytest.raises(ByHand):
            walker.walk()
        assert here.record["routes"]["payout"]["percent"] == 100
        assert here.held()
        record.release(here.store.objects)  # the commands that were said, on another machine
        here.apply(None)
        by_hand[0] = True
        assert walker.walk().phase is Phase.PROMOTED


def test_a_look_that_fails_holds_the_share_and_ends_nothing(here: World) -> None:
    from ops.errors import OpsError

    here.begin("payout")
    failed: list[Rollout] = []

    def look(rollout: Rollout, _now: Any) -> Any:
        failed.append(rollout)
        if len(failed) < 3:
            raise OpsError("Monitoring does not answer")
        return Says("healthy")

    with here.walker() as walker:
        walker.look = look
        assert walker.walk().phase is Phase.PROMOTED
    assert any("could not look: Monitoring does not answer" in line for line in here.told)
