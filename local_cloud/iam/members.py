"""Members of bindings: who a caller counts as, and which policies are well formed."""

from typing import TYPE_CHECKING

from local_cloud.descriptors import Message
from local_cloud.errors import invalid
from local_cloud.iam import conditions
from local_cloud.registry import Principal

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Kinds of members that policies may name (google/iam/v1/policy.proto, Binding.members).
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


def names_of(principal: Principal) -> frozenset[str]:
    """Everything that a binding may call this caller."""
    if not principal.member:
        return frozenset({"allUsers"})
    return frozenset({principal.member, "allAuthenticatedUsers", "allUsers"})


def check_policy(cloud: "Cloud", policy: Message) -> None:
    """Refuses unknown roles, malformed or missing members and conditions that cannot be read, in Google's words."""
    for binding in policy.bindings:
        if not binding.role:
            raise invalid("Role name is required.")
        if not cloud.iam.roles.exists(binding.role):
            if binding.role.startswith("roles/"):
                raise invalid(f"Role {binding.role} is not supported for this resource.")
            raise invalid(f"Role ({binding.role}) does not exist in the resource's hierarchy.")
        for member in binding.members:
            _check_member(cloud, member)
        if binding.HasField("condition"):
            if policy.version < 3:
                raise invalid("Policies with conditions must have version 3.")
            conditions.check(binding.condition.expression)


def _check_member(cloud: "Cloud", member: str) -> None:
    if member in ("allUsers", "allAuthenticatedUsers"):
        return
    if not member.startswith(KINDS):
        raise invalid(
            f"The member {member} is of an unknown type. Please set a valid type prefix for the member."
            if ":" in member or "@" in member
            else f"Invalid member: {member}."
        )
    kind, _, value = member.partition(":")
    if kind in ("user", "serviceAccount", "group") and "@" not in value:
        raise invalid(f"Invalid {'service account' if kind == 'serviceAccount' else kind} ({value}).")
    ours = kind == "serviceAccount" and value.endswith(f"@{cloud.iam.accounts.domain}")
    if ours and cloud.iam.accounts.find(value) is None:
        raise invalid(f"Service account {value} does not exist.")
