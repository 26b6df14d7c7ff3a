"""Everything that takes labels says whose it is and of which environment, so that a bill can be read by them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from local_engine import Result
from tests.components.conftest import ROOT

Plan = Callable[[str], Result]
ENVS = ("local", "dev", "staging", "prod")
SHARED = Path(os.environ.get("SLUICE_SHARED", ROOT.parent / "shared"))
#: Types whose `labels` are none of these: what a channel is reached by, and what a metric's values are told apart by.
OTHER = {
    "gcp:monitoring/notificationChannel:NotificationChannel": "labels",
    "gcp:monitoring/metricDescriptor:MetricDescriptor": "labels",
}
#: Where they stand within a block.
WITHIN = {"gcp:sql/databaseInstance:DatabaseInstance": ("settings", "userLabels")}


@pytest.fixture(scope="module")
def places() -> Mapping[str, tuple[str, ...]]:
    """Type -> the input that takes its labels."""
    path = SHARED / "gcp_schema.json"
    if not path.exists():
        pytest.skip(f"the provider's schema is not at {path}; set SLUICE_SHARED to compare with it")
    resources: dict[str, Any] = json.loads(path.read_text())["resources"]
    found: dict[str, tuple[str, ...]] = dict(WITHIN)
    for token, resource in resources.items():
        for key in ("labels", "userLabels"):
            if key in resource["inputProperties"] and OTHER.get(token) != key:
                found[token] = (key,)
    return found


@pytest.mark.parametrize("env", ENVS)
def test_whatever_takes_labels_has_ours(plan: Plan, places: Mapping[str, tuple[str, ...]], env: str) -> None:
    seen = set()
    for stack in (env, f"foundation-{env}"):
        for step in plan(stack).steps:
            if step.type not in places:
                continue
            value: Any = step.inputs
            for key in places[step.type]:
                value = value.get(key) or {}
            assert {"app": "sluice", "env": env}.items() <= dict(value).items(), step.urn
            seen.add(step.type)
    assert len(seen) >= 8
