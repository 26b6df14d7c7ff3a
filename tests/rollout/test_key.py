"""A signing key is rotated while payments run: no token is refused for it, and no payment is lost or paid twice.

A small dose in every run; SLUICE_WHOLE=1 makes it more payments a second. The walk's order and its ends are
tests/ops/test_secrets.py's.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench._rollout_load import Load, settle
from ops import specs, stack_config
from ops.secrets.kept import Step
from spec.rollout import RELEASES
from tests.dose import share
from tests.payments.bindings import entries, now
from tests.payments.hops import ids
from tests.payments.stack import Stack
from tests.rollout.walking import sluice

pytestmark = pytest.mark.stack

KEY = "TPS_HOSTPAY_SIGNING_KEY"
#: Payments a second, for as long as it takes; so many at most, or a slow machine would make itself slower.
RATE, MOST = float(share(10, 4)), share(600, 40)


def test_a_signing_key_is_rotated_under_load_and_every_payment_is_paid_once(stack: Stack) -> None:
    as_deployed_first(stack)
    since, load = now(stack), Load(stack, RATE)
    load.start(MOST)
    try:
        code, said = sluice("secrets", "rotate", KEY, "--yes")
    finally:
        load.stop()
    assert (code, sorted(said["served"])) == (0, [Step.ACCEPTING, Step.SIGNING]), said
    assert said["waits"] is not None, "the old key stays while it may be in use"
    ended = settle(stack, load.sent)
    assert (ended.completed, ended.completed_after_replay, ended.differences) == (len(load.sent), len(load.sent), [])
    assert refused(stack, since) == []

    after = ids("single", 2) + ids("staged", 2)  # the new key signs: they are paid without the old one
    assert sluice("secrets", "rotate", KEY, "--force", "--yes")[1]["waits"] is None
    stack.send(amount="0.01", count=len(after), unique_ids=after, wait=True)
    ended = settle(stack, after)
    assert (ended.completed, ended.differences) == (len(after), [])
    assert sluice("secrets", "rotate", KEY, "--finish", "--force", "--yes")[0] == 0


def refused(stack: Stack, since: str) -> list[Any]:
    """Requests that were refused for a token's signature."""
    return [entry["jsonPayload"] for entry in entries(stack, since, 'jsonPayload.code="TOKEN_SIGNATURE"')]


def as_deployed_first(stack: Stack) -> None:
    """No service has a release of its own: a key is not changed beside a way back."""
    if releases := specs.config_of("local").releases:
        stack_config.change("local", {}, [f"{RELEASES}/{name}" for name in releases])
        stack.up()
