"""A small dose of `python -m bench mixed`: payments of all flows, faults among them, and the verdict from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import mixed
from bench._mixed_load import SHARES
from tests import chance
from tests.payments.stack import Stack

pytestmark = pytest.mark.stack

SEED = chance.seed()


def test_40_payments_of_all_flows_are_accounted_for_whatever_fails(new_stack: Callable[[], Stack]) -> None:
    told: list[str] = []
    found = mixed.mixed(new_stack(), told.append, count=40, rate=20, seed=SEED, faulty=8)
    assert found["faults"] == 5, told
    assert set(found["flows"]) == set(SHARES)
    assert not found["differences"], f"seed {SEED}\n" + "\n".join(found["differences"])
    assert found["completed_after_replay"] == 40, f"seed {SEED}: {told}"
