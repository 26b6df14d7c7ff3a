"""No secret's value is in any plan: secrets are containers, and services name a version of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.stack import material
from spec import load
from tests.components.conftest import of_type, planned
from tests.stacks.test_program import STACKS

ROOT = Path(__file__).parents[2]
SECRETS = load(ROOT).secrets
#: What a secret looks like, whatever it is called.
SECRET_VALUE = re.compile(
    r"PRIVATE KEY|^(0x)?[0-9a-f]{64}$|://[^/@\s:\"]*:[^/@\s\"]+@|^ya29\.|^xox[abp]-|hooks\.slack\.com"
)
#: Inputs that hold a secret's data, of any type of the provider.
DATA = {"secretData", "secretDataWo", "password", "passwordWo", "privateKey", "payload"}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("stack", STACKS)
def test_no_plan_holds_a_secrets_value(stack: str) -> None:
    plan = planned(stack)
    assert of_type(plan, "SecretVersion") == []
    for step in plan.steps:
        assert not DATA & step.inputs.keys(), step.name
    said = list(texts(plan.as_json()))
    assert not [text for text in said if SECRET_VALUE.search(text)]


@pytest.mark.parametrize("stack", [stack for stack in STACKS if not stack.startswith("foundation-")])
def test_a_service_gets_each_secret_by_the_number_of_its_version(stack: str) -> None:
    named = set()
    for step in of_type(planned(stack), "Service"):
        for container in step.inputs.get("template", {}).get("containers", ()) if step.custom else ():
            for variable in container.get("envs", ()):
                if variable["name"] in SECRETS:
                    reference = variable["valueSource"]["secretKeyRef"]
                    assert "value" not in variable
                    assert reference["secret"] == variable["name"]
                    assert reference["version"].isdigit()
                    named.add(variable["name"])
    assert named == set(SECRETS)


def test_the_values_of_the_local_stack_are_in_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ops.home import Home

    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    values = [value for value in material.load(Home(tmp_path)).values() if len(value) >= 16]
    assert len(values) >= 8
    for stack in ("foundation-local", "local"):
        said = json.dumps(planned(stack).as_json())
        assert not [value for value in values if value in said]
