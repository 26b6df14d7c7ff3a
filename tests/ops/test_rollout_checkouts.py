"""Two checkouts of one stack: what an older one may not do, and what is remembered of what was rolled out before."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import spec.rollout
from ops import specs, stack_config
from ops.output import Output
from ops.place import Local
from ops.rollout import apply, checkout
from ops.rollout.state import Phase
from ops.secrets import deployed
from ops.verbs import rollout as verbs
from tests.ops.rollouts import CANARY, SERVICE, STABLE, Killed, World
from tests.ops.test_rollout_verbs import Run, here, kept, sluice

__all__ = ["here", "kept", "sluice"]
#: A revision that neither of the two is.
OTHER = "gcsplit-u"
#: What a checkout says that knows nothing of the last promotion.
OLDER: dict[str, Any] = {"stable": STABLE, "previous": OTHER, "keep_until": "2026-01-01T00:00:00Z"}


def test_what_was_confirmed_is_not_begun_once_it_would_be_another(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the question waits for its answer a rotation ends: stable is another revision, with the new key."""

    def answered(*_: Any, **__: Any) -> None:
        here.releases[SERVICE] = {"stable": OTHER}
        here.apply(SERVICE)

    monkeypatch.setattr(verbs, "confirm_change", answered)
    code, said = sluice("rollout", "start", SERVICE, "--yes")
    assert (code, "would be another one by now" in said) == (1, True), said
    assert here.store.read() == (None, 0)
    assert (here.roles().stable, here.releases) == (OTHER, {SERVICE: {"stable": OTHER}})


def test_an_older_checkout_begins_nothing_and_lets_go_of_nothing(here: World, sluice: Run) -> None:
    here.begin(SERVICE)
    here.walk()
    now = here.releases
    here.releases = {SERVICE: dict(OLDER)}
    before = here.writes
    for words in (("finish", SERVICE, "--force"), ("start", SERVICE, "--force")):
        code, said = sluice("rollout", *words, "--yes")
        assert (code, f"{SERVICE} runs {CANARY} as stable, and it is {STABLE}" in said) == (1, True), said
    here.releases = {}
    code, said = sluice("rollout", "finish", SERVICE, "--yes")
    assert (code, f"{SERVICE} keeps {STABLE} as previous, and it is nothing" in said) == (1, True), said
    assert here.writes == before
    assert (here.roles().stable, here.roles().previous) == (CANARY, STABLE)
    here.releases = now
    assert sluice("rollout", "finish", SERVICE, "--force", "--yes")[0] == 0


def test_an_older_checkout_rotates_no_key(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its template is the one that it names as stable, so that by itself it finds nothing amiss."""
    here.begin(SERVICE)
    here.walk()
    monkeypatch.setattr(specs, "load", lambda _: SimpleNamespace(consumers=lambda _: [SimpleNamespace(name=SERVICE)]))
    written: list[object] = []
    monkeypatch.setattr(stack_config, "change", lambda *_, **__: written.append(_))
    monkeypatch.setattr(deployed, "template_of", lambda _place, _service, entry, _over: entry["stable"])

    def rotated(**entry: Any) -> None:
        release = spec.rollout.Release.model_validate(entry)
        config = SimpleNamespace(releases={SERVICE: release}, secret_versions={}, secret_version=lambda _: "1")
        monkeypatch.setattr(specs, "config_of", lambda _: config)
        deployed.Deployed(here.place, "A_KEY", Output(as_json=True)).pin("2")

    with pytest.raises(checkout.Other, match=f"{SERVICE} runs {CANARY} as stable, and it is {STABLE}"):
        rotated(stable=STABLE)
    assert not written
    rotated(stable=CANARY, previous=STABLE, keep_until="2026-12-07T00:00:00Z")
    assert written


def test_a_checkout_without_the_last_promotion_is_told_to_pipelines(here: World, sluice: Run) -> None:
    """The record says nothing of a release that is over; the next apply would bring the old one back."""
    here.begin(SERVICE)
    here.walk()
    assert sluice("rollout", "status", "--check")[0] == 0
    for older in ({SERVICE: dict(OLDER)}, {}):
        here.releases = older
        code, said = sluice("rollout", "status", "--check")
        assert (code, f"{SERVICE} " in said, "would undo that" in said) == (3, True, True), said


def test_a_checkout_without_the_entry_of_a_release_that_is_over_is_told_as_one_that_would_deploy_at_once(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No role differs any more after `finish`; what is gone from it is that only a rollout moves traffic."""
    here.begin(SERVICE)
    here.walk()
    assert sluice("rollout", "finish", SERVICE, "--force", "--yes")[0] == 0
    now = here.releases
    assert now == {SERVICE: {"stable": CANARY}}
    monkeypatch.setattr(Local, "local", False)
    assert sluice("rollout", "status", "--check")[0] == 0
    here.releases = {}
    for words in (("status", "--check"), ("start", SERVICE, "--yes", "--confirm", "local")):
        code, said = sluice("rollout", *words)
        assert code == (3 if words[0] == "status" else 1), said
        assert f"a rollout left {CANARY} as what is stable of {SERVICE}, and there is no entry of {SERVICE}" in said
    here.releases = {SERVICE: {}}
    assert sluice("rollout", "status", "--check")[0] == 0, "who means it says so"
    monkeypatch.setattr(Local, "local", True)
    here.releases = {}
    assert sluice("rollout", "status", "--check")[0] == 0, "on this machine nobody has another checkout"


def test_letting_go_that_was_cut_short_is_brought_to_its_end(here: World, sluice: Run) -> None:
    here.begin(SERVICE)
    here.walk()
    here.writes, here.lives = 0, 1
    with pytest.raises(Killed):
        sluice("rollout", "finish", SERVICE, "--force", "--yes")
    here.dead = False
    assert (here.releases[SERVICE], here.roles().previous) == ({"stable": CANARY}, STABLE)
    code, said = sluice("rollout", "finish", SERVICE, "--yes")
    assert (code, f"{STABLE} is let go of" in said) == (0, True), said
    assert here.roles().previous == ""
    assert here.settled()


@pytest.mark.parametrize("target", ["payout", SERVICE])
def test_what_was_found_bad_is_not_forgotten_for_what_was_tried_since(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def tried(canary: str, phase: Phase) -> None:
        here.pass_(10)
        begun = replace(here.begin(target), canary=canary if target == SERVICE else "")
        done = begun.over(phase, here.place.now(), 0)
        here.store.remember(done)
        here.store.write(done, here.store.read()[1])

    def refused(*words: str) -> bool:
        code, said = sluice("rollout", "start", target, "--dry-run", *words)
        assert code == (1 if "not rolled out again by itself" in said else 0), said
        return bool(code)

    assert not refused()
    tried(CANARY, Phase.ROLLED_BACK)
    tried(OTHER, Phase.ABORTED)
    assert refused()
    assert not refused("--force")
    monkeypatch.setattr(apply, "template_of", lambda *_: "gcsplit-v")
    assert refused() is (target == "payout"), "another release is another one"
    monkeypatch.setattr(apply, "template_of", lambda *_: CANARY)
    tried(CANARY, Phase.PROMOTED)
    assert not refused(), "it was forced, and was well"
