"""The one place that decides whether a principal may do a thing.

A policy may hang on any resource name. A permission is granted by a binding on the resource or on anything above it:
the ancestors are the shorter names (`.../queues/q/tasks/t`, `.../queues/q`, `projects/p`). The policies themselves
are policies.py's, what they were needed for is usage.py's, the trail of decisions is trail.py's. What changes becomes
visible after `delay` seconds of the cloud's clock.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from local_cloud.descriptors import Message
from local_cloud.errors import ApiError, error_info, invalid
from local_cloud.iam import conditions, members
from local_cloud.iam.accounts import Accounts
from local_cloud.iam.fix import Fix, smallest_fix
from local_cloud.iam.policies import Policies
from local_cloud.iam.roles import Roles
from local_cloud.iam.trail import Trail
from local_cloud.iam.usage import Granted, Usage
from local_cloud.registry import Principal

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

T = TypeVar("T", str, float)

#: Cached decisions; above this the cache starts anew.
MAX_CACHED = 20_000

#: enforce refuses, audit only records what it would have refused, off asks nothing.
MODES = ("enforce", "audit", "off")


class Decision(NamedTuple):
    """One answer, for the caller and for the audit trail."""

    at: float
    principal: Principal
    permission: str
    resource: str
    granted: bool
    enforced: bool
    #: Which binding granted it.
    binding: Granted | None
    text: str = ""
    fix: Fix | None = None
    mode: str = "enforce"


class Iam:
    """Policies, roles and accounts of the project, and the decision over them."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self._cache: dict[tuple[str, tuple[str, ...], str, str], Granted | None] = {}
        self._chosen = cloud.store.json("iam.chosen")
        self.mode: str = self._started_with("mode", cloud.settings.iam_mode)
        self.delay: float = self._started_with("delay", cloud.settings.iam_delay)
        self.accounts = Accounts(cloud)
        self.roles = Roles(cloud)
        self.policies = Policies(cloud, self.changed)
        self.usage = Usage(cloud)
        self.trail = Trail(cloud.store.directory)
        cloud.log.decision_sinks.append(self._record)

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
        """The bare answer to a call that goes on without; recorded where a binding grants it."""
        resource = self.holder(resource)
        if self.mode == "off" or principal.owner:
            return True
        binding = self._binding(principal, permission, resource)
        if binding is None:
            return False
        enforced = self.mode == "enforce"
        at = self._cloud.now()
        self._cloud.log.decision(Decision(at, principal, permission, resource, True, enforced, binding, mode=self.mode))
        return True

    def decide(self, principal: Principal, permission: str, resource: str, text: str = "") -> Decision:
        """The answer with its reasons; whoever acts on it hands it to the log."""
        resource = self.holder(resource)
        at, mode = self._cloud.now(), self.mode
        enforced = mode == "enforce"
        if mode == "off" or principal.owner:
            return Decision(at, principal, permission, resource, True, enforced, None, mode=mode)
        binding = self._binding(principal, permission, resource)
        if binding:
            return Decision(at, principal, permission, resource, True, enforced, binding, mode=mode)
        wording = text or f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
        fix = smallest_fix(self._cloud, principal, permission, resource)
        return Decision(at, principal, permission, resource, False, enforced, None, wording, fix, mode)

    def granted(self, principal: Principal, permissions: Iterable[str], resource: str) -> list[str]:
        """Those of the permissions that the principal has: testIamPermissions, which needs none of them."""
        resource = self.holder(resource)
        everything = self.mode == "off" or principal.owner
        return [p for p in permissions if everything or self._binding(principal, p, resource)]

    def _binding(self, principal: Principal, permission: str, resource: str) -> Granted | None:
        key = (principal.member, principal.sets, permission, resource)
        if key in self._cache:
            return self._cache[key]
        found, lasting = self._search(principal, permission, resource)
        if lasting:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key] = found
        return found

    def _search(self, principal: Principal, permission: str, resource: str) -> tuple[Granted | None, bool]:
        """What grants it, and whether that stays so until something is changed (a condition may speak of the time)."""
        names = members.names_of(principal)
        lasting = True
        for holder in lineage(resource):
            policy = self.policies.effective(holder)
            if policy is None:
                continue
            for binding in policy.bindings:
                member = next((m for m in binding.members if m in names), None)
                if member is None or permission not in self.roles.permissions(binding.role):
                    continue
                expression = str(binding.condition.expression)
                if expression or binding.HasField("condition"):
                    lasting = False
                    if not conditions.holds(self._cloud, expression, resource):
                        continue
                return Granted(holder, str(binding.role), str(member), expression), lasting
        return None, lasting

    def _record(self, decision: Decision) -> None:
        if decision.binding is not None:
            self.usage.note(decision.binding, decision.permission, decision.at)
        self.trail.write(decision)

    # Policies

    def get_policy(self, resource: str, version: int = 3) -> Message:
        """The policy of a resource; one that was never set is empty and has an etag all the same."""
        return self.policies.get(self.holder(resource), version)

    def set_policy(self, resource: str, policy: Message, mask: Iterable[str] = ()) -> Message:
        """Replaces a policy after checking its etag, version, roles, members and conditions."""
        resource = self.holder(resource)
        self.policies.put(resource, policy, mask, delay=self.delay)
        self.changed()
        for binding in policy.bindings:
            if conditions.google_would_not_know(resource, binding.condition.expression):
                self._cloud.log.event(
                    "WARNING",
                    f"The condition on {binding.role} at {resource} speaks of the resource. The local cloud evaluates "
                    "that; Google has no resource attributes for resources of this kind, and the binding would grant "
                    f"nothing there: {binding.condition.expression}",
                )
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
        self.policies.forget(self.holder(resource))
        self.changed()

    def all_policies(self) -> list[tuple[str, Message]]:
        """Every policy with the resource that it hangs on."""
        return self.policies.all()

    def rename_member(self, old: str, new: str) -> None:
        """Follows an account into deletion and back."""
        self.policies.rename_member(old, new)
        self.changed()

    def changed(self) -> None:
        """Something that decisions rest on was changed."""
        self._cache.clear()
        self.usage.follow(self.policies.all())

    # What can be turned while it runs

    def set_mode(self, mode: str) -> None:
        """Changes the mode; it lasts over restarts, until a start asks for another than the last one did."""
        if mode not in MODES:
            raise invalid(f"The mode is one of {', '.join(MODES)}, not {mode!r}.")
        self._chosen["mode"] = [self._cloud.settings.iam_mode, mode]
        self.mode = mode

    def set_delay(self, seconds: float) -> None:
        """Changes how long changes spread from now on; those on their way keep their time."""
        if not 0 <= seconds <= 86_400:
            raise invalid(f"The delay is between 0 and 86400 seconds, not {seconds:g}.")
        self._chosen["delay"] = [self._cloud.settings.iam_delay, seconds]
        self.delay = seconds

    def _started_with(self, what: str, given: T) -> T:
        before, chosen = self._chosen.get(what) or (given, given)
        return chosen if before == given else given


def lineage(resource: str) -> Iterator[str]:
    """A resource and everything above it."""
    parts = resource.split("/")
    yield resource
    keep = len(parts) - (len(parts) % 2 or 2)
    for length in range(keep, 1, -2):
        yield "/".join(parts[:length])
