"""What a rollout does next, of every state, verdict and time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.rollout.decide import Abort, Hold, Prepare, Promote, RollBack, SetShare, Stop, dwell, next_action, next_step
from ops.rollout.state import Kind, Phase, Rollout, Rules, Step, moment, text
from tests.ops.rollouts import Says

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OFTEN = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    steps = tuple(sorted(draw(st.sets(st.integers(1, 99), max_size=4)) | {100}))
    stood = draw(st.integers(0, len(steps)))
    percent = steps[stood - 1] if stood else 0
    since = NOW - timedelta(seconds=draw(st.integers(0, 200)))
    return Rollout(
        id="payout-x", target="payout", kind=draw(st.sampled_from(Kind)), phase=draw(st.sampled_from(Phase)),
        rules=Rules(steps=steps, first_dwell=draw(st.integers(0, 150)), dwell=draw(st.integers(0, 150)), keep=9.0),
        who="w", by="w", began=text(since), percent=percent, since=text(since),
        wanted=draw(st.sampled_from([percent, percent, percent, *steps])),
        steps=tuple(Step(percent=share, since=text(since)) for share in steps[:stood]),
    )  # fmt: skip


verdicts = st.none() | st.builds(Says, st.sampled_from(["healthy", "unhealthy", "inconclusive"]))


@OFTEN
@given(rollouts(), verdicts)
def test_nothing_but_a_healthy_look_after_the_dwell_raises_a_share(rollout: Rollout, verdict: Says | None) -> None:
    action = next_action(rollout, verdict, NOW)
    raises = isinstance(action, SetShare) and not rollout.unset and rollout.steps
    if raises or (isinstance(action, Promote) and rollout.phase is not Phase.PROMOTING):
        assert rollout.phase is Phase.RUNNING
        assert verdict is not None
        assert verdict.kind == "healthy"
        assert (NOW - moment(rollout.since)).total_seconds() >= dwell(rollout)


@OFTEN
@given(rollouts(), verdicts)
def test_a_share_that_was_met_and_is_unhealthy_is_taken_back_also_when_paused(
    rollout: Rollout, verdict: Says | None
) -> None:
    action = next_action(rollout, verdict, NOW)
    open_ = rollout.phase in (Phase.RUNNING, Phase.PAUSED) and not rollout.unset and rollout.percent > 0
    if open_ and verdict is not None and verdict.kind == "unhealthy":
        assert action == RollBack("as told")
    elif rollout.phase is not Phase.ROLLING_BACK:
        assert not isinstance(action, RollBack)


@OFTEN
@given(rollouts(), verdicts)
def test_what_was_begun_comes_before_anything_new(rollout: Rollout, verdict: Says | None) -> None:
    action = next_action(rollout, verdict, NOW)
    first = {
        Phase.PREPARING: Prepare, Phase.PROMOTING: Promote, Phase.ROLLING_BACK: RollBack, Phase.ABORTING: Abort,
        Phase.PROMOTED: Stop, Phase.ROLLED_BACK: Stop, Phase.ABORTED: Stop,
    }.get(rollout.phase)  # fmt: skip
    if first is not None:
        assert isinstance(action, first)
    elif rollout.unset:
        assert action == SetShare(rollout.wanted)


@OFTEN
@given(rollouts(), verdicts)
def test_a_pause_and_a_gate_that_cannot_tell_hold_the_share(rollout: Rollout, verdict: Says | None) -> None:
    if rollout.unset or rollout.phase not in (Phase.RUNNING, Phase.PAUSED) or not rollout.steps:
        return
    if verdict is not None and verdict.kind == "unhealthy" and rollout.percent:
        return
    if rollout.phase is Phase.PAUSED or verdict is None or verdict.kind == "inconclusive":
        assert isinstance(next_action(rollout, verdict, NOW), Hold)


@OFTEN
@given(rollouts())
def test_steps_follow_one_another_up_to_the_last_and_then_it_is_promoted(rollout: Rollout) -> None:
    rollout = replace(rollout, phase=Phase.RUNNING, wanted=rollout.percent)
    late = NOW + timedelta(hours=1)
    action = next_action(rollout, Says("healthy"), late)
    following = next_step(rollout)
    assert action == (SetShare(following) if following is not None else Promote())
    assert following is None or following > rollout.percent


@OFTEN
@given(rollouts())
def test_a_state_is_read_as_it_was_written(rollout: Rollout) -> None:
    assert Rollout.from_json(rollout.as_json()) == rollout
