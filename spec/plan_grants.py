"""Who is granted what in a plan, and what of it is too much: members, bindings and whole policies alike.

What a service account has on a whole project is on lint's short list (`PROJECT_ROLES`), or an exception by the
account's name; what is above a project has no short list. People and groups are another question: none is asked here.

Sources: https://cloud.google.com/iam/docs/service-agents, https://cloud.google.com/iam/docs/setting-limits-on-granting-roles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spec import names
from spec.checks.reach import EVERYBODY
from spec.permissions import INVOKER
from spec.service import PROJECT_ROLES

#: Roles that accounts have on the whole project besides the short list: by the account's name, roles or custom ids.
Exceptions = Mapping[str, Collection[str]]

#: The pipeline's two accounts, each with the custom role that is made for it.
OURS: Exceptions = {
    names.PREVIEWER_ACCOUNT_ID: (names.PREVIEWER_ROLE_ID,),
    names.DEPLOYER_ACCOUNT_ID: (names.DEPLOYER_ROLE_ID,),
}

#: Types that reach whole projects, and those that reach beyond one.
PROJECT = "gcp:projects/"
ABOVE = ("gcp:folder/", "gcp:organizations/")

#: Members that are programs: accounts, and what becomes one from outside.
_PROGRAM = re.compile(r"^(?:deleted:)?(?:serviceAccount|principal|principalSet):")
_AGENT = re.compile(r"@gcp-sa-[\w-]+\.iam\.gserviceaccount\.com$|^serviceAccount:service-\d+@")
_AGENTS_ROLE = re.compile(r"^roles/[\w.]*[sS]erviceAgent$")

#: Gives and takes the roles of its condition, and without one all.
POLICY_ADMIN = "roles/resourcemanager.projectIamAdmin"
_ONLY = re.compile(r"api\.getAttribute\('iam\.googleapis\.com/modifiedGrantsByRole', \[\]\)\.hasOnly\(\[([^\]]*)\]\)")


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for a member, as far as both are known before the apply."""

    role: str
    member: str
    condition: str = ""


def broken(kind: str, values: Mapping[str, Any], exceptions: Exceptions) -> Iterator[tuple[str, str]]:
    """Yield which rules the grants of a resource break, and how."""
    for grant in _grants(kind, values):
        role, member = grant.role, grant.member
        if EVERYBODY.search(member) and not (member == "allUsers" and role == INVOKER):
            yield "SL306", f"{role} is granted to {member}, which stands for everybody"
        elif member == "allUsers":
            yield "SL305", f"anybody may call {values.get('name')}"
        elif _PROGRAM.search(member) and _too_wide(kind, grant, exceptions):
            whole = "project" if kind.startswith(PROJECT) else "folder or organization"
            yield "SL301", f"{role} on the whole {whole} is granted to {member}"


def _grants(kind: str, values: Mapping[str, Any]) -> Iterator[Grant]:
    bindings: list[Any] = []
    if kind.endswith(("Member", "Binding")):
        bindings = [values]
    elif kind.endswith("Policy"):
        bindings = _bindings(values.get("policyData"))
    for binding in bindings:
        if not isinstance(binding, Mapping) or not isinstance(role := binding.get("role"), str):
            continue
        several = binding.get("members")
        # Pulumi's policies hand over lists of their own make.
        members = several if isinstance(several, Sequence) and not isinstance(several, str) else ()
        given = [binding.get("member"), *members]
        condition = binding.get("condition")
        expression = condition.get("expression") if isinstance(condition, Mapping) else None
        for member in given:
            if isinstance(member, str):
                yield Grant(role, member, str(expression or ""))


def _bindings(policy: object) -> list[Any]:
    """The bindings of a policy, which the provider takes as JSON."""
    try:
        read = json.loads(policy) if isinstance(policy, str) else None
    except ValueError:
        return []
    found = read.get("bindings") if isinstance(read, Mapping) else None
    return found if isinstance(found, list) else []


def _too_wide(kind: str, grant: Grant, exceptions: Exceptions) -> bool:
    if not kind.startswith((PROJECT, *ABOVE)):
        return False
    if _AGENT.search(grant.member) and _AGENTS_ROLE.search(grant.role):
        return False
    if kind.startswith(ABOVE):
        return True
    if grant.role in PROJECT_ROLES or (grant.role == POLICY_ADMIN and _is_limited(grant.condition)):
        return False
    account = grant.member.rpartition(":")[2].partition("@")[0]
    meant = {*OURS.get(account, ()), *exceptions.get(account, ())}
    return grant.role not in meant and not (
        grant.role.startswith("projects/") and grant.role.rpartition("/")[2] in meant
    )


def _is_limited(condition: str) -> bool:
    """Whether only roles of the short list may be given and taken."""
    only = _ONLY.fullmatch(condition)
    return only is not None and set(re.findall(r"'([^']*)'", only[1])) <= PROJECT_ROLES.keys()
