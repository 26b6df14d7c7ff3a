"""The pack hands Pulumi one policy a rule: errors stop a plan, warnings are said. Pulumi's package stands aside here.

The package wants another protobuf than the project, so that it is never in the project's environment (policy/).
"""

from __future__ import annotations

import enum
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from spec import Severity, laws
from spec.plan import RULES

POLICY = Path(__file__).parents[2] / "policy"


class EnforcementLevel(enum.Enum):
    ADVISORY = "advisory"
    MANDATORY = "mandatory"


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the pack hands over, by name."""
    packs: list[Any] = []
    stand_in: Any = ModuleType("pulumi_policy")
    stand_in.EnforcementLevel = EnforcementLevel
    stand_in.ReportViolation = stand_in.ResourceValidationArgs = object
    stand_in.ResourceValidationPolicy = stand_in.PolicyConfigSchema = SimpleNamespace
    stand_in.PolicyPack = lambda name, policies: packs.append((name, policies))
    monkeypatch.setitem(sys.modules, "pulumi_policy", stand_in)
    runpy.run_path(str(POLICY / "__main__.py"), run_name="__main__")
    ((name, found),) = packs
    assert name == "sluice"
    return {policy.name: policy for policy in found}


def said(policy: Any, kind: str, props: dict[str, Any], **config: Any) -> list[str]:
    found: list[str] = []
    args = SimpleNamespace(resource_type=kind, props=props, get_config=lambda: config)
    policy.validate(args, found.append)
    return found


def test_each_rule_is_a_policy_as_strict_as_lint(policies: dict[str, Any]) -> None:
    assert set(policies) == {number.lower() for number in RULES}
    for number in RULES:
        mandatory = policies[number.lower()].enforcement_level is EnforcementLevel.MANDATORY
        assert mandatory == (laws()[number].severity is Severity.ERROR)


def test_a_policy_says_what_is_broken_and_where_it_is_explained(policies: dict[str, Any]) -> None:
    queue = {"rateLimits": {"maxDispatchesPerSecond": 501}}
    (found,) = said(policies["sl501"], "gcp:cloudtasks/queue:Queue", queue)
    assert "501 is above 500" in found
    assert found.endswith("[SL501; docs/lint/SL501.md]")
    assert said(policies["sl502"], "gcp:cloudtasks/queue:Queue", queue) == []


def test_roles_on_a_whole_project_beside_the_short_list_are_said_in_the_packs_config(policies: dict[str, Any]) -> None:
    member = "serviceAccount:reporter@p.iam.gserviceaccount.com"
    grant = ("gcp:projects/iAMMember:IAMMember", {"role": "roles/bigquery.jobUser", "member": member})
    assert len(said(policies["sl301"], *grant)) == 1
    assert said(policies["sl301"], *grant, exceptions={"reporter": ["roles/bigquery.jobUser"]}) == []
    assert [name for name, policy in policies.items() if policy.config_schema is not None] == ["sl301"]


def test_the_pack_runs_in_an_environment_of_its_own() -> None:
    runtime = yaml.safe_load((POLICY / "PulumiPolicy.yaml").read_text())["runtime"]
    assert runtime == {"name": "python", "options": {"virtualenv": "venv"}}
    assert any(line.startswith("pulumi-policy") for line in (POLICY / "requirements.txt").read_text().splitlines())
