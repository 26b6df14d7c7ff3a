"""What a rollout says to whoever operates it: why a step was taken, who raised a share, what would be done."""

from __future__ import annotations

import json
import os
import time

import pytest

from ops import specs
from ops.rollout import lock, start
from ops.rollout.state import Phase, Rollout, moment
from tests.ops.rollouts import CANARY, HOUR, SERVICE, STABLE, Killed, Says, World
from tests.ops.test_rollout_verbs import Run, here, kept, sluice

__all__ = ["here", "kept", "sluice"]


def at_50(here: World) -> Rollout:
    here.begin()
    return here.walk(lambda now: now.percent == 50)


def test_a_step_says_before_it_is_taken_which_look_decided_it(here: World, sluice: Run) -> None:
    here.verdict = Says("healthy", "success: 0 of 208 requests failed")
    code, said = sluice("rollout", "start", "payout", "--steps", "50,100", "--dwell", "1h", "--yes")
    assert code == 0, said
    look = "payout: healthy at 50 % (success: 0 of 208 requests failed): next 100 %"
    assert said.index(look) < said.index("payout stands at 100 %")
    assert "payout: healthy at 100 % (success: 0 of 208 requests failed): promoted now" in said


def test_a_promotion_says_what_it_would_do_and_what_it_did(here: World, sluice: Run) -> None:
    at_50(here)
    sluice("rollout", "pause", "--yes")
    before = here.writes
    said = sluice("rollout", "promote", "--to", "80", "--dry-run")[1]
    assert "would raise payout from 50 % to 80 % at once, and hold it there" in said
    assert "at most 100" in sluice("rollout", "promote", "--to", "999", "--yes")[1]
    assert here.writes == before
    said = sluice("rollout", "promote", "--to", "80", "--yes")[1]
    assert "raised to 80 %: payout is held at 80 %, next 100 %; gates still roll back" in said
    assert "the gates have not been asked yet" in sluice("rollout", "status")[1]


def test_a_promotion_by_hand_keeps_who_and_what_the_gates_said_apart(here: World, sluice: Run) -> None:
    here.begin(SERVICE)
    here.walk(lambda now: now.percent == 100)
    here.verdict = Says("inconclusive", "paid: 0 of 50 samples")
    assert f"would make {CANARY} the stable revision" in sluice("rollout", "promote", "--dry-run")[1]
    assert sluice("rollout", "promote", "--yes")[0] == 0
    found, _ = here.store.read()
    assert found is not None
    who = here.place.who
    assert (found.phase, found.why, found.by) == (Phase.PROMOTED, f"by hand, by {who}", who)
    assert [(one.percent, one.who, one.gates) for one in found.raised] == [
        (100, who, "inconclusive: paid: 0 of 50 samples")
    ]
    assert f"raised to 100 % by {who}" in sluice("rollout", "show")[1]
    here.pass_()
    code, said = sluice("rollback", SERVICE, "--yes", "--why", "customers say so")
    assert (code, "./sluice resend --all --older-than 1s" in said) == (0, True)
    last = sluice("rollout", "history")[1].splitlines()[-1]
    assert f"promoted {found.promoted[:19]}, rolled back 20" in last
    assert "it had everything from then on until" in sluice("rollout", "show")[1]
    assert here.roles().stable == STABLE


def test_an_abort_leads_a_route_to_where_it_began_and_a_rollback_to_0(here: World, sluice: Run) -> None:
    here.shares["payout"] = 50
    here.apply(None)
    here.verdict = Says("inconclusive")
    for words, left in ((("rollout", "abort"), 50), (("rollback", "payout"), 0)):
        wish, system = start.Wish(target="payout"), specs.load("local")
        start.begin(here.place, here.store, system, wish, start.planned(here.place, here.store, system, wish))
        assert here.walk(lambda now: now.percent == 75).began_at == 50
        code, said = sluice(*words, "--yes")
        assert code == 0, said
        assert here.record["routes"]["payout"]["percent"] == here.shares["payout"] == left
        assert here.settled()


def test_a_release_that_is_taken_back_leaves_the_commands_for_what_it_swallowed(here: World, sluice: Run) -> None:
    helps = "./sluice resend --all --older-than 1s sends that once more, now"
    here.begin(SERVICE)
    here.walk(lambda now: now.percent == 50)
    here.verdict = Says("unhealthy", "effect: 9 of 9 changed nothing")
    code, said = sluice("rollout", "resume", "--yes")
    assert (code, helps in said) == (1, True), said


def test_a_plan_says_when_its_end_is_reached_at_the_earliest(here: World, sluice: Run) -> None:
    said = sluice("rollout", "start", "payout", "--steps", "50,100", "--dry-run")[1]
    assert "good samples" in said
    plan = json.loads(sluice("rollout", "start", "payout", "--steps", "50,100", "--dry-run", "--json")[1])["earliest"]
    assert [one["percent"] for one in plan] == [50, 100, 100]
    hours = [(moment(one["at"]) - moment(plan[0]["at"])).total_seconds() / HOUR for one in plan]
    assert hours == [0, 48, 72]
    assert "48h the first, 24h the others" in " ".join(sluice("rollout", "start", "--help")[1].split())


def test_what_there_is_not_is_said_in_words(here: World, sluice: Run) -> None:
    code, said = sluice("rollout", "show")
    assert (code, "nothing was ever rolled out here" in said) == (1, True), said
    assert "there is no rollout 'x-1'" in sluice("rollout", "show", "x-1")[1]
    assert "payout is a route: it has no revisions" in sluice("rollout", "finish", "payout", "--yes")[1]
    at_50(here)
    before = here.writes
    assert "would go on with this: payout runs at 50 %, next 100 %" in sluice("rollout", "resume", "--dry-run")[1]
    assert here.writes == before


def test_a_second_start_is_told_who_walks_the_first_and_that_nobody_does(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_50(here)
    said = " ".join(sluice("rollout", "start", "payout", "--yes")[1].split())
    assert "nobody walks it: ./sluice rollout resume goes on with it" in said
    held = lock.acquire(here.place, "rollout of payout")
    try:
        monkeypatch.setattr(lock.Holder, "own", False)
        said = " ".join(sluice("rollout", "start", "payout", "--yes")[1].split())
    finally:
        held.release()
    assert f"{here.place.who} walks it, process {held.holder.pid} on {held.holder.host}, for 0s" in said
    assert "resume" not in said
    assert "./sluice rollout abort takes it back" in said


def test_its_page_tells_of_pauses_and_of_walks_that_were_left_or_killed(
    here: World, sluice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_50(here)
    here.verdict = Says("inconclusive", "0 of 50 samples")
    sluice("rollout", "pause", "--why", "lunch", "--yes")
    sluice("rollout", "resume", "--dry-run")

    def stop(kind: type[BaseException]) -> None:
        def raised(_: float) -> None:
            raise kind

        monkeypatch.setattr(time, "sleep", raised)

    stop(KeyboardInterrupt)
    assert sluice("rollout", "resume", "--yes")[0] == 130
    stop(Killed)
    with pytest.raises(Killed):
        sluice("rollout", "resume", "--yes")
    stop(KeyboardInterrupt)
    sluice("rollout", "resume", "--yes")
    page = sluice("rollout", "show")[1]
    noted = [line.split(": ", 1)[1] for line in page.splitlines() if line.startswith("- 20")]
    assert noted[:2] == ["paused at 50 %: lunch", "resumed"]
    walk = f"walked by process {os.getpid()} on "
    assert [line.startswith(walk) for line in noted[2:]] == [True, False, True, True, False]
    assert noted[3] == noted[6] == "not walked any more: left by Ctrl-C"
    assert ["ended without a word" in line for line in noted[2:]] == [False, False, False, True, False]
    sluice("rollout", "abort", "--yes")
    assert sluice("rollout", "history")[1].splitlines()[-1].endswith("asked for")


def test_with_nothing_under_way_that_is_said_in_a_line(here: World, sluice: Run) -> None:
    here.verdict = Says("unhealthy", "a long word of a gate")
    sluice("rollout", "start", "payout", "--yes")
    last, _ = here.store.read()
    assert last is not None
    for verb in ("pause", "resume", "promote", "abort"):
        code, said = sluice("rollout", verb, "--yes")
        assert (code, f"nothing is being rolled out; the last was {last.id}, rolled back 20" in said) == (1, True), said
        assert "long word" not in said
