"""Members of bindings: who a caller counts as, which members are well formed, and how they are written.

Source: google/iam/v1/policy.proto, Binding.members, and https://cloud.google.com/iam/docs/principal-identifiers.
"""

import re
from typing import TYPE_CHECKING

from local_cloud.errors import invalid
from local_cloud.registry import Principal

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Kinds of members that policies may name.
KINDS = (
    "user:",
    "serviceAccount:",
    "group:",
    "domain:",
    "deleted:",
    "principal:",
    "principalSet:",
    "projectOwner:",
    "projectEditor:",
    "projectViewer:",
)

#: Kinds whose value is an address, which has no upper and lower case.
_ADDRESSES = ("user", "serviceAccount", "group", "domain")
_DELETED = re.compile(r"deleted:(user|serviceAccount|group):[^?]+@[^?]+\?uid=\w+|deleted:principal:.+")


def names_of(principal: Principal) -> frozenset[str]:
    """Everything that a binding may call this caller. Groups have no members here."""
    if not principal.member:
        return frozenset({"allUsers"})
    if principal.member.startswith("principal:"):  # whom somebody else has authenticated
        return frozenset({principal.member, "allUsers", *principal.sets})
    names = {principal.member, "allAuthenticatedUsers", "allUsers"}
    if principal.member.startswith("user:"):
        names.add(f"domain:{principal.member.rpartition('@')[2]}")
    return frozenset(names)


def normal(member: str) -> str:
    """A member as policies keep it: addresses in lower case."""
    kind, colon, value = member.partition(":")
    return f"{kind}{colon}{value.lower()}" if kind in _ADDRESSES else member


def check_role(cloud: "Cloud", role: str) -> None:
    """Refuses roles that no binding may name, in Google's words."""
    if not role:
        raise invalid("Role name is required.")
    if not cloud.iam.roles.exists(role):
        if role.startswith("roles/"):
            raise invalid(f"Role {role} is not supported for this resource.")
        raise invalid(f"Role ({role}) does not exist in the resource's hierarchy.")


def check_member(cloud: "Cloud", member: str) -> None:
    """Refuses malformed and missing members, in Google's words."""
    if member in ("allUsers", "allAuthenticatedUsers"):
        return
    if not member.startswith(KINDS):
        raise invalid(
            f"The member {member} is of an unknown type. Please set a valid type prefix for the member."
            if ":" in member or "@" in member
            else f"Invalid member: {member}."
        )
    kind, _, value = normal(member).partition(":")
    if kind in ("user", "serviceAccount", "group") and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise invalid(f"Invalid {'service account' if kind == 'serviceAccount' else kind} ({value}).")
    if kind == "deleted" and not _DELETED.fullmatch(member):
        raise invalid(f"Invalid deleted member ({member}): it is written as deleted:KIND:EMAIL?uid=NUMBER.")
    ours = kind == "serviceAccount" and value.endswith(f"@{cloud.iam.accounts.domain}")
    if ours and cloud.iam.accounts.find(value) is None:
        raise invalid(f"Service account {value} does not exist.")
