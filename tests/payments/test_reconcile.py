"""`sluice reconcile` on a whole stack: every side is reached, with the permissions that the specs declare."""

from __future__ import annotations

import json

import pytest

from tests.payments.stack import Stack

pytestmark = pytest.mark.stack


def test_every_side_is_compared_and_what_was_paid_is_not_named(stack: Stack) -> None:
    paid = stack.json("pay", "--amount", "0.01", "--flow", "split")["payments"]
    done = stack.sluice("reconcile", "--json", "--pause", "0", "--orders", "100000", check=False)
    assert done.returncode in (0, 1), done.stderr  # other tests of this stack leave their dead
    told = json.loads(done.stdout)
    assert told["not_compared"] == []
    assert all("ledger and funding" in one for one in told["sums"] if one["what"] == "host_wallet")  # the sandbox knows
    assert [one for one in told["findings"] if one["stage"].startswith("balance")] == []
    assert [one for one in told["sums"] if one["difference"] != "0" and one["what"] != "host_wallet"] == []
    assert {one["what"] for one in told["sums"]} > {"processor_receivable", "host_wallet", "user_points, credits"}
    assert {one["about"] for one in told["findings"]}.isdisjoint(one["unique_id"] for one in paid)
    assert [one for one in told["findings"] if one["kind"] in ("ledger", "chain", "foreign", "points")] == []
