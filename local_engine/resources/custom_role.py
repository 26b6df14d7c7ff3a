"""``gcp:projects/iAMCustomRole:IAMCustomRole``: a role of the project; a deleted one is revived, its name is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..errors import AlreadyExistsError
from ..model import Change
from ..resource_type import Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, name_part, text, texts


class CustomRole(RestType):
    """A custom role."""

    token = "gcp:projects/iAMCustomRole:IAMCustomRole"
    endpoint = "iamBeta"
    collection = "projects/{project}/roles"
    name_input = "roleId"
    masked = False
    given = frozenset({"deleted"})
    list_query: ClassVar[Mapping[str, str]] = {"view": "FULL"}
    inputs: ClassVar[Shape] = {
        "roleId": name_part(),
        "project": name_part(),
        "permissions": texts(required=True, api="includedPermissions"),
        "title": text(required=True),
        "description": text(),
        "stage": text(),
    }

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """The role's name is its path."""
        name = self.identity(inputs)
        return {"name": name, "deleted": False} if name else {}

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Look first: a deleted role of that name is revived, a living one is somebody else's."""
        identity, sent = self.identity(inputs), self.body(cloud, inputs)
        there = super().read(cloud, identity, inputs)
        if there is None:
            wrapped = {"roleId": inputs["roleId"], "role": sent}
            cloud.call(self.endpoint, "POST", templated(self.collection, inputs), body=wrapped)
        elif there.get("deleted"):
            cloud.call(self.endpoint, "POST", f"{identity}:undelete")
            cloud.call(self.endpoint, "PATCH", identity, body=sent)
        else:
            raise AlreadyExistsError(409, "ALREADY_EXISTS", "a role of that name exists", f"GET {identity}")
        return identity, cloud.settled(lambda: cloud.get(self.endpoint, identity))

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """A deleted role still answers, as deleted."""
        live = super().read(cloud, identity, inputs)
        return None if live is None or live.get("deleted") else live

    def unmodelled(self, live: JsonObject) -> list[str]:
        """A role without a stage cannot be declared: the provider fills one in."""
        return [*super().unmodelled(live), *([] if live.get("stage") else ["no stage"])]

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Permissions are a set."""
        ordered = dict(live) | {"includedPermissions": sorted(live.get("includedPermissions", []))}
        return super().drift(cloud, dict(inputs) | {"permissions": sorted(inputs["permissions"])}, ordered)
