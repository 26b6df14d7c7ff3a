"""The policies themselves: one value a resource, in its normal form, guarded by etag and version, spreading late.

Owns what is kept and in which form it is read and written; who is granted what by it is engine.py's. Sources:
google/iam/v1/policy.proto, https://cloud.google.com/iam/docs/allow-policies (versions, `_withcond_`, etags),
https://cloud.google.com/iam/quotas (members, groups, operators).
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid
from local_cloud.iam import conditions, members

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

KIND = "google.iam.v1.Policy"

#: The etag of a policy that was never set, as Google shows it ("ACAB").
UNSET_ETAG = b"\x00\x20\x01"

#: A policy holds at most this many members, counted in every binding, and of them this many groups and domains.
MAX_MEMBERS = 1_500
MAX_GROUPS = 250

#: Roles that hold so much that Google takes no condition on them.
BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")

_VERSIONS = "For more information, please refer to https://cloud.google.com/iam/docs/policies#versions."


class Policies:
    """Every policy by the name of its resource, with those that are still in force while a change spreads."""

    def __init__(self, cloud: "Cloud", changed: Callable[[], None]) -> None:
        self._cloud = cloud
        self._changed = changed
        self._kept = cloud.store.messages("iam.policies", KIND)
        #: What a policy was before a change that has not spread: keys are "UNTIL RESOURCE", the oldest first.
        self._before = cloud.store.messages("iam.policies.before", KIND)
        self._spreading: dict[str, list[tuple[float, Message]]] = {}
        for key, policy in self._before.items():
            self._spread_later(key, policy)

    def all(self) -> list[tuple[str, Message]]:
        """Every policy that is set, with the resource that it hangs on."""
        return self._kept.items()

    def effective(self, resource: str) -> Message | None:
        """The policy that decides now: while a change spreads, the one before it."""
        for until, policy in self._spreading.get(resource, ()):
            if until > self._cloud.now():
                return policy
        return self._kept.get(resource)

    def spreading(self) -> list[tuple[str, float]]:
        """Resources whose last change has not taken effect, and when it will."""
        now = self._cloud.now()
        return [(name, old[-1][0]) for name, old in self._spreading.items() if old and old[-1][0] > now]

    def get(self, resource: str, version: int = 3) -> Message:
        """A policy as a caller that knows `version` may see it; one that was never set is empty."""
        if version not in (0, 1, 3):
            raise invalid(f"Invalid requested policy version ({version}): it must be 0, 1 or 3. {_VERSIONS}")
        made = message(KIND)()
        kept = self._kept.get(resource)
        if kept is None:
            made.etag = UNSET_ETAG
            return made
        made.CopyFrom(kept)
        if version < 3 and made.version == 3:
            made.version = 1
            for binding in made.bindings:
                if binding.HasField("condition"):
                    content = binding.condition.SerializeToString(deterministic=True)
                    binding.role += f"_withcond_{hashlib.sha256(content).hexdigest()[:20]}"
                    binding.ClearField("condition")
        return made

    def put(self, resource: str, policy: Message, mask: Iterable[str] = (), *, delay: float) -> None:
        """Replaces what the mask names (bindings, unless it says more) after every check."""
        current = self._kept.get(resource)
        # A policy that was never set takes any etag: there is nothing that could be lost.
        if policy.etag and current is not None and policy.etag != current.etag:
            raise ApiError(
                "ABORTED",
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
                "backoff.",
            )
        fields = {path.partition(".")[0] for path in mask} or {"bindings", "etag"}
        made = message(KIND)()
        if current is not None:
            made.CopyFrom(current)
        if "bindings" in fields:
            self._check(policy, current)
            made.ClearField("bindings")
            made.bindings.extend(normal_bindings(policy))
        if fields & {"auditConfigs", "audit_configs"}:
            made.ClearField("audit_configs")
            made.audit_configs.extend(policy.audit_configs)
        made.version = 3 if any(b.HasField("condition") for b in made.bindings) else 1
        made.etag = b"\x07\x05" + secrets.token_bytes(6)
        if delay > 0:
            self._keep_before(resource, current, delay)
        self._kept[resource] = made

    def forget(self, resource: str) -> None:
        """Drops the policies of a resource that was deleted, and of all below it, at once."""
        for name, _ in self._kept.items():
            if name == resource or name.startswith(f"{resource}/"):
                self._kept.pop(name)
        for key, _ in self._before.items():
            name = key.partition(" ")[2]
            if name == resource or name.startswith(f"{resource}/"):
                self._before.pop(key)
                self._spreading.pop(name, None)

    def rename_member(self, old: str, new: str) -> None:
        """Follows an account into deletion and back, in what spreads too: a member is an account, not its name."""
        for collection in (self._kept, self._before):
            for key, policy in collection.items():
                for binding in policy.bindings:
                    if old in binding.members:
                        changed = list(dict.fromkeys(new if m == old else m for m in binding.members))
                        del binding.members[:]
                        binding.members.extend(changed)
                        collection.save(key)

    def _check(self, policy: Message, current: Message | None) -> None:
        version = policy.version
        if version not in (0, 1, 3):
            raise invalid(f"Invalid policy version ({version}): it must be 0, 1 or 3. {_VERSIONS}")
        if policy.etag and current is not None and current.version == 3 and version < 3:
            raise invalid(
                f"Specified policy version ({version}) cannot be less than the existing policy version (3). {_VERSIONS}"
            )
        named = [member for binding in policy.bindings for member in binding.members]
        if len(named) > MAX_MEMBERS:
            raise invalid(
                f"The number of members in the policy ({len(named):,}) is larger than the maximum allowed size "
                f"{MAX_MEMBERS:,}."
            )
        groups = sum(member.startswith(("group:", "domain:")) for member in named)
        if groups > MAX_GROUPS:
            raise invalid(
                f"The number of groups and domains in the policy ({groups}) is larger than the maximum allowed size "
                f"{MAX_GROUPS}."
            )
        for binding in policy.bindings:
            members.check_role(self._cloud, binding.role)
            for member in binding.members:
                members.check_member(self._cloud, member)
            if binding.HasField("condition"):
                _check_condition(binding, version)

    def _keep_before(self, resource: str, current: Message | None, delay: float) -> None:
        before = message(KIND)()
        if current is not None:
            before.CopyFrom(current)
        key = f"{self._cloud.now() + delay!r} {resource}"
        self._before[key] = before
        self._spread_later(key, before)

    def _spread_later(self, key: str, before: Message) -> None:
        until, _, resource = key.partition(" ")
        self._spreading.setdefault(resource, []).append((float(until), before))

        def spread() -> None:
            self._before.pop(key)
            left = [one for one in self._spreading.get(resource, ()) if one[1] is not before]
            if left:
                self._spreading[resource] = left
            else:
                self._spreading.pop(resource, None)
            self._changed()

        self._cloud.clock.call_at(float(until), spread)


def normal_bindings(policy: Message) -> list[Message]:
    """Bindings as Google keeps them: those of one role and condition are one, members once each, none without any."""
    made: dict[tuple[str, bytes], Message] = {}
    for binding in policy.bindings:
        condition = binding.condition.SerializeToString(deterministic=True) if binding.HasField("condition") else b""
        kept = made.get((binding.role, condition))
        if kept is None:
            kept = made[binding.role, condition] = message("google.iam.v1.Binding")(role=binding.role)
            if condition:
                kept.condition.CopyFrom(binding.condition)
        for member in map(members.normal, binding.members):
            if member not in kept.members:
                kept.members.append(member)
    return [binding for binding in made.values() if binding.members]


def _check_condition(binding: Message, version: int) -> None:
    if version < 3:
        raise invalid(f"Policies with conditions must have version 3, not {version}. {_VERSIONS}")
    if binding.role in BASIC_ROLES:
        raise invalid(f"Conditions can't be set on primitive roles: {binding.role}.")
    if everybody := next((m for m in binding.members if m in ("allUsers", "allAuthenticatedUsers")), ""):
        raise invalid(f"Conditions can't be set on bindings for {everybody}.")
    conditions.check(binding.condition.expression)
