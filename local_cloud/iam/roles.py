"""Roles: Google's predefined ones (as far as the emulated services need them) and the project's own.

A custom role's deletion is soft, as Google's: for 7 days it grants nothing, can be undeleted and its id cannot be used
again; for 30 more days the id stays taken (https://cloud.google.com/iam/docs/creating-custom-roles#deleting-custom-role).
"""

from functools import cache
from typing import TYPE_CHECKING

from local_cloud.descriptors import Message, message

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

KIND = "google.iam.admin.v1.Role"

#: Days after which a deleted custom role can no longer be undeleted.
UNDELETE_SECONDS = 7 * 86400


class Roles:
    """Every role that a binding may name."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self.custom = cloud.store.messages("iam.roles", KIND)
        self.deleted_at = cloud.store.json("iam.roles.deleted_at")

    def permissions(self, role: str) -> frozenset[str]:
        """What a role grants; nothing when it is unknown, deleted or disabled."""
        if role in predefined():
            return predefined()[role].permissions
        found = self.custom.get(role)
        if found is None or found.deleted or found.stage == DISABLED:
            return frozenset()
        return frozenset(found.included_permissions)

    def exists(self, role: str) -> bool:
        """Whether a binding may name it."""
        if role.startswith("projects/"):
            found = self.custom.get(role)
            return found is not None and not found.deleted
        if role in predefined():
            return True
        # Roles of services that are not emulated are taken as they come: they grant nothing here.
        service = role.removeprefix("roles/").partition(".")[0]
        return role.startswith("roles/") and "." in role and service not in emulated()

    def granting(self, permission: str) -> list[tuple[str, int]]:
        """Roles that hold a permission with how many they hold, the narrowest first, custom before predefined."""
        found = [
            (len(r.included_permissions), 0, name)
            for name, r in self.custom.items()
            if permission in r.included_permissions and not r.deleted and r.stage != DISABLED
        ]
        found += [
            (len(role.permissions), 1, name) for name, role in predefined().items() if permission in role.permissions
        ]
        return [(name, size) for size, _, name in sorted(found)]


DISABLED = 5  # google.iam.admin.v1.Role.RoleLaunchStage.DISABLED


class Predefined:
    """One of Google's roles."""

    __slots__ = ("name", "permissions", "title")

    def __init__(self, name: str, title: str, permissions: frozenset[str]) -> None:
        self.name = name
        self.title = title
        self.permissions = permissions

    def to_message(self, *, full: bool) -> Message:
        """As the IAM API lists it."""
        permissions = sorted(self.permissions) if full else []
        return message(KIND)(name=self.name, title=self.title, included_permissions=permissions, stage=2, etag=b"\x00")


@cache
def predefined() -> dict[str, Predefined]:
    """The table, expanded: braces in a permission mean alternatives, a role's name means all that it holds."""
    from local_cloud.iam.predefined import TABLE

    made: dict[str, Predefined] = {}
    for line in filter(None, (raw.strip() for raw in TABLE.splitlines())):
        name, title, words = (part.strip() for part in line.split("|"))
        permissions: set[str] = set()
        for word in words.split():
            if word == "*":
                permissions.update(p for role in made.values() for p in role.permissions)
            elif word.startswith("roles/"):
                permissions.update(made[word].permissions)
            else:
                permissions.update(_expand(word))
        made[name] = Predefined(name, title, frozenset(permissions))
    return made


@cache
def emulated() -> frozenset[str]:
    """The services whose roles are all in the table, as far as this cloud knows them."""
    return frozenset(name.removeprefix("roles/").partition(".")[0] for name in predefined() if "." in name)


def _expand(word: str) -> list[str]:
    head, brace, rest = word.partition("{")
    if not brace:
        return [word]
    middle, _, tail = rest.partition("}")
    return [head + choice + end for choice in middle.split(",") for end in _expand(tail)]
