"""The one place that decides whether a principal may do a thing, and that keeps the policies it decides by.

A policy may hang on any resource name. A permission is granted by a binding on the resource or on anything above it:
the ancestors are the shorter names (`.../queues/q/tasks/t`, `.../queues/q`, `projects/p`). Policies are whole values
with etags, as google.iam.v1 describes them. What changes becomes visible after `iam_delay` seconds.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, error_info
from local_cloud.iam import conditions, members
from local_cloud.iam.accounts import Accounts
from local_cloud.iam.fix import Fix, smallest_fix
from local_cloud.iam.roles import Roles
from local_cloud.registry import Principal

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

KIND = "google.iam.v1.Policy"

#: The etag of a policy that was never set, as Google shows it ("ACAB").
UNSET_ETAG = b"\x00\x20\x01"

#: Cached decisions; above this the cache starts anew.
MAX_CACHED = 20_000


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer, for the caller and for the audit trail."""

    at: float
    principal: Principal
    permission: str
    resource: str
    granted: bool
    enforced: bool
    #: Which binding granted it: (resource it hangs on, role, member).
    binding: tuple[str, str, str] | None
    text: str = ""
    fix: Fix | None = None


class Iam:
    """Policies, roles and accounts of the project, and the decision over them."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self._policies = cloud.store.messages("iam.policies", KIND)
        self._cache: dict[tuple[str, str, str], tuple[str, str, str] | None] = {}
        self._old: dict[str, list[tuple[float, Message]]] = {}
        self._conditional = False
        self.mode = cloud.settings.iam_mode
        self.accounts = Accounts(cloud)
        self.roles = Roles(cloud)
        self.changed()

    # Deciding

    def require(self, principal: Principal, permission: str, resource: str, text: str = "") -> Decision:
        """Raises PERMISSION_DENIED unless the principal has the permission. `text` is the API's own wording."""
        decision = self.decide(principal, permission, resource, text)
        self._cloud.log.decision(decision)
        if decision.granted or not decision.enforced:
            return decision
        metadata = {"permission": permission, "resource": decision.resource}
        wording = decision.text
        if decision.fix:
            metadata |= decision.fix.as_dict()
            wording += f" {decision.fix.sentence}"
        raise ApiError(
            "PERMISSION_DENIED", wording, error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", metadata)
        )

    def allows(self, principal: Principal, permission: str, resource: str) -> bool:
        """The bare answer, not recorded."""
        resource = self.holder(resource)
        return self.mode == "off" or principal.owner or self._binding(principal, permission, resource) is not None

    def decide(self, principal: Principal, permission: str, resource: str, text: str = "") -> Decision:
        """The answer with its reasons."""
        resource = self.holder(resource)
        at = self._cloud.now()
        enforced = self.mode == "enforce"
        if self.mode == "off" or principal.owner:
            return Decision(at, principal, permission, resource, True, enforced, None)
        binding = self._binding(principal, permission, resource)
        if binding:
            return Decision(at, principal, permission, resource, True, enforced, binding)
        wording = text or f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
        fix = smallest_fix(self._cloud, principal, permission, resource)
        return Decision(at, principal, permission, resource, False, enforced, None, wording, fix)

    def granted(self, principal: Principal, permissions: Iterable[str], resource: str) -> list[str]:
        """Those of the permissions that the principal has: testIamPermissions."""
        return [p for p in permissions if self.allows(principal, p, resource)]

    def _binding(self, principal: Principal, permission: str, resource: str) -> tuple[str, str, str] | None:
        key = (principal.member, permission, resource)
        if key in self._cache:
            return self._cache[key]
        found = self._search(principal, permission, resource)
        if not self._conditional:  # a condition may speak of the time: then every answer is made anew
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key] = found
        return found

    def _search(self, principal: Principal, permission: str, resource: str) -> tuple[str, str, str] | None:
        names = members.names_of(principal)
        for holder in lineage(resource):
            policy = self._effective(holder)
            if policy is None:
                continue
            for binding in policy.bindings:
                member = next((m for m in binding.members if m in names), None)
                if member is None or permission not in self.roles.permissions(binding.role):
                    continue
                if not binding.HasField("condition") or conditions.holds(
                    binding.condition.expression, resource, self._cloud.now()
                ):
                    return holder, binding.role, member
        return None

    # Policies

    def get_policy(self, resource: str) -> Message:
        """The policy of a resource; one that was never set is empty and has an etag all the same."""
        kept = self._policies.get(self.holder(resource))
        made = message(KIND)()
        if kept is None:
            made.etag = UNSET_ETAG
        else:
            made.CopyFrom(kept)
        return made

    def set_policy(self, resource: str, policy: Message, mask: Iterable[str] = ()) -> Message:
        """Replaces a policy after checking its etag, roles, members and conditions."""
        resource = self.holder(resource)
        current = self._policies.get(resource)
        # A policy that was never set takes any etag: there is nothing that could be lost.
        if policy.etag and current is not None and policy.etag != current.etag:
            raise ApiError(
                "ABORTED",
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
                "backoff.",
            )
        members.check_policy(self._cloud, policy)
        made = message(KIND)()
        fields = {path.partition(".")[0] for path in mask} or {"bindings", "etag"}
        if current is not None:
            made.CopyFrom(current)
            if "bindings" in fields:
                made.ClearField("bindings")
        if "bindings" in fields:
            made.bindings.extend(b for b in policy.bindings if b.members)
        if "auditConfigs" in fields or "audit_configs" in fields or not mask:
            made.ClearField("audit_configs")
            made.audit_configs.extend(policy.audit_configs)
        made.version = 3 if any(b.HasField("condition") for b in made.bindings) else 1
        made.etag = b"\x07\x05" + secrets.token_bytes(6)
        self._keep_old(resource, current)
        self._policies[resource] = made
        self.changed()
        return self.get_policy(resource)

    def holder(self, resource: str) -> str:
        """The name that policies are kept under: the project by its id, an account by its e-mail."""
        resource = self._cloud.canonical(resource)
        head, found, account = resource.partition("/serviceAccounts/")
        if found and account.isdigit() and (known := self.accounts.find(account)):
            return f"{head}{found}{known.email}"
        return resource

    def forget(self, resource: str) -> None:
        """Drops the policies of a resource that was deleted, and of all below it."""
        resource = self.holder(resource)
        for name, _ in self._policies.items():
            if name == resource or name.startswith(f"{resource}/"):
                self._policies.pop(name)
        self.changed()

    def all_policies(self) -> list[tuple[str, Message]]:
        """Every policy with the resource that it hangs on."""
        return self._policies.items()

    def rename_member(self, old: str, new: str) -> None:
        """Follows an account into deletion and back."""
        for name, policy in self._policies.items():
            for binding in policy.bindings:
                if old in binding.members:
                    changed = [new if m == old else m for m in binding.members]
                    del binding.members[:]
                    binding.members.extend(changed)
                    self._policies.save(name)
        self.changed()

    def changed(self) -> None:
        """Something that decisions rest on was changed."""
        self._cache.clear()
        self._conditional = any(b.HasField("condition") for p in self._policies.values() for b in p.bindings)

    # What spreads late

    def _keep_old(self, resource: str, policy: Message | None) -> None:
        delay = self._cloud.settings.iam_delay
        if delay > 0:
            before = message(KIND)()
            if policy is not None:
                before.CopyFrom(policy)
            until = self._cloud.now() + delay
            self._old.setdefault(resource, []).append((until, before))
            self._cloud.clock.call_at(until, self.changed)

    def _effective(self, resource: str) -> Message | None:
        if self._old:
            now = self._cloud.now()
            for until, policy in self._old.get(resource, ()):
                if until > now:
                    return policy
        return self._policies.get(resource)


def lineage(resource: str) -> Iterator[str]:
    """A resource and everything above it."""
    parts = resource.split("/")
    yield resource
    keep = len(parts) - (len(parts) % 2 or 2)
    for length in range(keep, 1, -2):
        yield "/".join(parts[:length])
