"""The way back when something else is broken, too: the record, the state, an older rollout's knowledge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ops.errors import CallFailed
from ops.rollout import images, record, store
from ops.rollout.store import Objects
from spec.names import RECORD_OBJECT, ROLLOUT_OBJECT
from tests.local_cloud.run_client import DIGEST
from tests.ops.rollouts import CANARY, SERVICE, STABLE, World
from tests.ops.test_rollout_verbs import Run, here, kept, sluice

__all__ = ["here", "kept", "sluice"]
#: The stack's image by now.
NEWER = "sha256:" + "c" * 64


def gone(here: World, _: pytest.MonkeyPatch) -> None:
    objects = Objects(here.place)
    objects.delete(RECORD_OBJECT, generation=objects.read(RECORD_OBJECT).generation)


def garbled(here: World, _: pytest.MonkeyPatch) -> None:
    objects = Objects(here.place)
    objects.write(RECORD_OBJECT, b'{"routes', over=objects.read(RECORD_OBJECT).generation)


def away(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = here.place.call

    def broken(api: str, *rest: Any, **more: Any) -> Any:
        if api == "storage":
            raise CallFailed("Cloud Storage is away", status=503)
        return call(api, *rest, **more)

    monkeypatch.setattr(here.place, "call", broken)
    monkeypatch.setattr(store, "pause", lambda _: None)


@pytest.mark.parametrize("breaks", [gone, garbled, away])
def test_a_release_is_taken_back_without_its_record_which_is_said(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[World, pytest.MonkeyPatch], None]
) -> None:
    here.begin(SERVICE)
    here.walk(lambda now: now.percent == 10)
    record.release(Objects(here.place))
    with monkeypatch.context() as broken:
        breaks(here, broken)
        code, said = sluice("rollback", SERVICE, "--yes")
    assert code == 1
    assert f"the traffic of {SERVICE} is {STABLE}'s" in said, said
    assert (here.roles().stable, here.roles().canary) == (STABLE, "")
    objects = Objects(here.place)
    kept = objects.read(RECORD_OBJECT)
    if breaks is not away:
        objects.write(RECORD_OBJECT, here.declared(), over=kept.generation)
    code, said = sluice("rollback", SERVICE, "--yes")
    assert code == 0, said
    assert here.settled()


@pytest.mark.parametrize("known", [True, False])
def test_what_is_gone_back_to_keeps_its_image_where_the_stack_has_a_newer_one(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    here.begin(SERVICE)
    here.walk()
    if not known:
        objects = Objects(here.place)
        objects.delete(ROLLOUT_OBJECT, generation=objects.read(ROLLOUT_OBJECT).generation)
    monkeypatch.setattr(images, "base", lambda _: NEWER)
    assert sluice("rollback", SERVICE, "--yes")[0] == 0
    assert here.releases[SERVICE] == {"stable": STABLE, "rolled_back": CANARY, "digest": DIGEST}


def test_a_dry_run_says_what_would_be_left_for_what_and_refuses_what_is_no_target(here: World, sluice: Run) -> None:
    here.begin(SERVICE)
    here.walk(lambda now: now.percent == 10)
    before = here.writes
    code, said = sluice("rollback", SERVICE, "--dry-run")
    assert (code, f"from {CANARY}, at 10 %, to {STABLE}" in said) == (0, True), said
    code, said = sluice("rollback", "gcspilt", "--yes")
    assert (code, "neither a route nor a deployed service 'gcspilt'" in said) == (2, True), said
    assert "did you mean gcsplit?" in said
    code, said = sluice("rollback", "nonsense")
    assert (code, "use one of: gcsplit, payout." in said) == (2, True), "before anything is asked"
    assert "abort" not in said, "the good rollout is none of it"
    code, said = sluice("rollback", "payout", "--dry-run")
    assert (code, "payout is at 0 %" in said) == (1, True), said
    assert here.writes == before


def test_with_nothing_kept_the_way_to_an_earlier_image_is_said_with_what_comes_before_it(
    here: World, sluice: Run
) -> None:
    assert f"start {SERVICE} --image DIGEST" in sluice("rollback", SERVICE, "--yes")[1]
    here.begin()
    here.walk(lambda now: now.percent == 10)
    said = " ".join(sluice("rollback", SERVICE, "--yes")[1].split())
    assert "first end the rollout of payout" in said
    assert f"start {SERVICE} --image DIGEST" in said


def test_beside_another_rollout_the_apply_that_brings_a_services_state_is_said(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At Google the steps of that rollout apply their own target alone."""
    here.begin(SERVICE)
    here.walk()
    here.begin("payout")
    here.walk(lambda now: now.percent == 10)
    monkeypatch.setattr(here.place, "local", False)
    code, said = sluice("rollback", SERVICE, "--yes")
    assert code == 0, said
    assert f"Service::{SERVICE}" in said.replace("\n", " "), said
    assert "pulumi up" in here.log()[-1]["left"]
    assert here.roles().stable == STABLE
