"""The plan of a stack: what the components declare, seen through an offline preview."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import local_engine
from local_engine import Result, Step

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "1" * 64


#: What no stack of the repository asks for, by the layer that takes it.
OPTIONS: dict[str, dict[str, Any]] = {
    "foundation": {
        "sluice:ci": {
            "repository": "acme/payments",
            "state_bucket": "acme-state",
            "state_key": "projects/sluice-prod/locations/global/keyRings/pulumi/cryptoKeys/state",
        },
        "sluice:budget": {"billing_account": "012345-6789AB-CDEF01", "amount": 800},
        "sluice:database": {"public_address": True},
    },
    "": {
        "sluice:edge": {
            "domain": "pay.example.com",
            "armor": {"rate_per_minute": 100, "allow": {"gchostpay4": ["203.0.113.0/24"]}, "only": ["gchostpay4"]},
        },
    },
}
#: Behind a stack's name: with all of it.
WITH_OPTIONS = "+options"


@cache
def planned(stack: str) -> Result:
    """The plan of a stack as it is, or with every option on where its name says so."""
    stack, asked = stack.removesuffix(WITH_OPTIONS), stack.endswith(WITH_OPTIONS)
    overrides = {"sluice:imageDigest": DIGEST} if stack == "local" else {}
    if asked:
        overrides |= OPTIONS["foundation" if stack.startswith("foundation-") else ""]
    result = local_engine.run(stack, root=ROOT, mode="preview", state_dir=None, offline=True, overrides=overrides)
    assert result.ok, result.problems
    return result


@pytest.fixture
def plan() -> Callable[[str], Result]:
    return planned


def of_type(result: Result, token: str) -> list[Step]:
    return [step for step in result.steps if step.type.endswith(f":{token}")]
