"""A rollout on a whole stack: a bad revision is taken back by itself and no payment is lost; a good one goes through.

A small dose of `python -m bench rollout`, which plays each fault at each step with 2,000 payments; the clock is moved.
Revisions that fail and that let tokens expire are test_matrix's.
"""

from __future__ import annotations

import pytest

from bench import _rollout_special as special
from bench._rollout_revisions import Bad
from bench._rollout_trial import bad_rollout
from tests.dose import dose
from tests.payments.stack import Stack

pytestmark = pytest.mark.stack

#: Payments of a trial, and how many are sent a second.
PAYMENTS, RATE = 60, 10.0
CASES = dose(
    [
        Bad(kind="no_effect"),
        Bad(kind="raises"),
        Bad(kind="slow"),
        Bad(kind="no_effect", service="gcsplit"),
        Bad(kind="no_effect", service="gchostpay3"),
    ],
    lambda _: "any",
)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_revision_is_taken_back_by_itself_and_no_payment_is_lost_or_paid_twice(stack: Stack, bad: Bad) -> None:
    told: list[str] = []
    trial = bad_rollout(stack, bad, 50, payments=PAYMENTS, rate=RATE, say=told.append, moves=15)
    assert trial.wrong == [], told
    assert 0 < trial.met < PAYMENTS


def test_a_good_revision_goes_through_all_steps_and_its_preview_is_quiet(stack: Stack) -> None:
    told: list[str] = []
    trial = special.good(stack, rate=RATE, say=told.append, steps=(50, 100), payments=260, moves=30, min_samples=10)
    assert trial.wrong == [], told
    assert trial.steps == [50, 100]
