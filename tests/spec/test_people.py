"""Who may hold roles by hand: each is listed with roles and a reason, and Google's own agents are known by form."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spec.people import is_agent, is_nobody
from spec.stack import StackConfig

NUMBER = "123456789012"


def stack(people: Any) -> StackConfig:
    known = {"gcp:project": "acme-prod", "gcp:region": "us-central1", "sluice:projectNumber": NUMBER}
    return StackConfig.model_validate({"name": "prod", **known, "sluice:people": people})


def test_members_are_listed_with_roles_and_a_reason() -> None:
    held = {"roles": ["roles/viewer"], "why": "they are on call"}
    found = stack({"group:ops@acme.example": held, "principalSet://iam.googleapis.com/x/*": held})
    assert found.people["group:ops@acme.example"].roles == ("roles/viewer",)


@pytest.mark.parametrize(
    "people",
    [
        {"allUsers": {"roles": ["roles/viewer"], "why": "anybody may look"}},
        {"ops@acme.example": {"roles": ["roles/viewer"], "why": "they are on call"}},
        {"user:a@b.c": {"roles": [], "why": "they are on call"}},
        {"user:a@b.c": {"roles": ["viewer"], "why": "they are on call"}},
        {"user:a@b.c": {"roles": ["roles/viewer"], "why": "ok"}},
        {"user:a@b.c": {"roles": ["roles/viewer"]}},
    ],
)
def test_what_names_nobody_no_role_or_no_reason_is_refused(people: Any) -> None:
    with pytest.raises(ValidationError):
        stack(people)


@pytest.mark.parametrize(
    ("member", "agent"),
    [
        (f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com", True),
        (f"service-{NUMBER}@serverless-robot-prod.iam.gserviceaccount.com", True),
        (f"p{NUMBER}-sluice@gcp-sa-cloud-sql.iam.gserviceaccount.com", True),
        (f"{NUMBER}@cloudservices.gserviceaccount.com", True),
        (f"{NUMBER}-compute@developer.gserviceaccount.com", False),
        ("service-999999999999@gcp-sa-pubsub.iam.gserviceaccount.com", False),
        (f"service-{NUMBER}@evil-project.iam.gserviceaccount.com", False),
        (f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com.evil.example", False),
        ("deployer@other-project.iam.gserviceaccount.com", False),
    ],
)
def test_googles_agents_are_those_of_the_project_and_no_account_that_may_be_anybodys(member: str, agent: bool) -> None:
    assert is_agent(f"serviceAccount:{member}", NUMBER) is agent
    assert not is_nobody(f"serviceAccount:{member}")
