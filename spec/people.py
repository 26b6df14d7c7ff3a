"""Who may hold roles that no spec grants: the model of `sluice:people`.

Owns people, groups and foreign accounts who were let in by hand, each with the roles and the reason. Grants nothing:
`sluice drift` names everybody who is neither declared nor listed here (docs/deploy.md, step 10).

Source: https://cloud.google.com/iam/docs/principal-identifiers (members) and
https://cloud.google.com/iam/docs/service-agents (Google's own).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from spec.errors import Refused
from spec.model import FEWEST_WORDS, Model, field

Member = Annotated[
    str, Field(pattern=r"^((user|group|serviceAccount):[^\s@]+@[^\s@]+|domain:\S+|principal(Set)?://\S+)$")
]
Role = Annotated[str, Field(pattern=r"^(roles|projects/[^/]+/roles|organizations/[^/]+/roles)/[A-Za-z0-9_.]+$")]

#: Projects of Google's in which its agents stand that are not called gcp-sa-*.
_AGENTS_OF = (
    *("cloud-filer", "cloud-redis", "cloudcomposer-accounts", "compute-system", "container-engine-robot"),
    *("containerregistry", "dataflow-service-producer-prod", "dataproc-accounts", "firebase-rules", "gcf-admin-robot"),
    *("gs-project-accounts", "serverless-robot-prod", "service-networking", "sourcerepo-service-accounts"),
)


class Held(Model):
    """What one member may hold, and why."""

    roles: tuple[Role, ...] = field(
        ...,
        "The roles, on the project or on a thing in it.",
        min_length=1,
        breaks="the member is listed and would be reported all the same",
        fix="list roles such as roles/viewer, or delete the line",
    )
    why: str = field(
        ...,
        "Why it is granted by hand, in a few words.",
        breaks="nobody could judge later whether it still holds",
        fix="say who that is and what for",
    )

    @field_validator("why")
    @classmethod
    def _is_a_reason(cls, text: str) -> str:
        if len(text.split()) < FEWEST_WORDS:
            raise Refused(
                f"{text!r} is no reason",
                breaks="nobody could judge later whether it still holds",
                fix="say in a few words who that is and what for",
            )
        return text


def is_agent(member: str, project_number: str) -> bool:
    """Whether a member is one of the accounts with which Google's services work in the project."""
    projects = "|".join(_AGENTS_OF)
    agent = (
        rf"(service-|p|cmek-p)?{project_number}(-[a-z0-9-]+)?@(gcp-sa-[a-z0-9-]+|{projects})\.iam\.gserviceaccount\.com"
    )
    return bool(re.fullmatch(rf"serviceAccount:({agent}|{project_number}@cloudservices\.gserviceaccount\.com)", member))


def is_nobody(member: str) -> bool:
    """Whether a member is gone: policies keep it under this name for a while."""
    return member.startswith("deleted:")
