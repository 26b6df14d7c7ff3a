"""A rollout on a whole stack: a bad revision is taken back by itself and no payment is lost; a good one goes through.

In every run a good release, walked look by look; with SLUICE_WHOLE=1 the command itself, each fault, and payments at a
rate. `python -m bench rollout` plays each fault at each step with 2,000 payments. Revisions that fail
and that let tokens expire are tests/runbook/test_rolling_back's.
"""

from __future__ import annotations

import pytest

from bench import _rollout_special as special
from bench._rollout_revisions import Bad
from bench._rollout_trial import bad_rollout
from ops.rollout.state import Phase
from tests.dose import WHOLE
from tests.payments.stack import Stack
from tests.rollout.walking import MINUTE, paid_once_each, quiet, walked

pytestmark = pytest.mark.stack

#: Payments of a whole trial, and how many are sent a second.
PAYMENTS, RATE = 60, 10.0
CASES = [
    Bad(kind="no_effect"),
    Bad(kind="raises"),
    Bad(kind="slow"),
    Bad(kind="no_effect", service="gcsplit"),
    Bad(kind="no_effect", service="gchostpay3"),
]
whole = pytest.mark.skipif(not WHOLE, reason="a long proof: SLUICE_WHOLE=1, or make proofs")


@whole
def test_a_bad_revision_is_taken_back_by_itself_and_no_payment_is_lost_or_paid_twice(stack: Stack) -> None:
    bad = Bad(kind="no_effect")
    with walked(stack, bad, (50, 100)) as walk:
        walk.burst(24, "single")
        stack.advance(MINUTE)
        walk.burst(8, "single", "staged")  # on their way while it is taken back
        walk.looked(3)
    assert walk.rollout.phase is Phase.ROLLED_BACK, walk.rollout.why
    assert 0 < walk.met(bad) < len(walk.sent)
    paid_once_each(stack, walk)
    assert walk.first_after(bad) == 0
    assert quiet()


def test_a_good_revision_goes_through_all_steps_and_its_preview_is_quiet(stack: Stack) -> None:
    good = Bad(kind="good", service="gcsplit")
    with walked(stack, good, (50, 100), first_dwell="60s", dwell="60s", min_samples=5) as walk:
        for _ in range(2):
            walk.burst(24, "single", "staged")
            walk.looked(10)
    assert walk.rollout.phase is Phase.PROMOTED, walk.rollout.steps[-1].why
    assert [step.percent for step in walk.rollout.steps] == [50, 100]
    paid_once_each(stack, walk)
    assert quiet()


@whole
@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_the_command_takes_each_bad_revision_back_under_load(stack: Stack, bad: Bad) -> None:
    told: list[str] = []
    trial = bad_rollout(stack, bad, 50, payments=PAYMENTS, rate=RATE, say=told.append, moves=15)
    assert trial.wrong == [], told
    assert 0 < trial.met < PAYMENTS


@whole
def test_the_command_takes_a_good_revision_through_all_steps_under_load(stack: Stack) -> None:
    told: list[str] = []
    trial = special.good(
        stack, rate=RATE, say=told.append, steps=(50, 100), payments=260, moves=30, each=6, min_samples=10
    )
    assert trial.wrong == [], told
    assert trial.steps == [50, 100]
