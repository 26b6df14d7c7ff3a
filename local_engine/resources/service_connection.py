"""``gcp:servicenetworking/connection:Connection``: a network's private connection to a service producer."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from .. import diff
from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError
from ..model import Change
from ..resource_type import Inputs, ResourceType, templated
from ..shapes import Shape, flag, name_part, required, text, texts


class Connection(ResourceType):
    """A connection; the network travels by the project's number."""

    token = "gcp:servicenetworking/connection:Connection"
    endpoint = "serviceNetworking"
    inputs: ClassVar[Shape] = {
        "network": required(name_part()),
        "service": required(name_part()),
        "reservedPeeringRanges": texts(required=True),
        "updateOnCreationFail": flag(virtual=True),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Network and service, escaped, as the provider writes it."""
        parts = [templated(f"{{{name}}}", inputs) for name in ("network", "service")]
        return ":".join(quote(part, safe="") for part in parts) if all(parts) else ""

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """POST to the service's connections."""
        sent = self._body(cloud, inputs)
        cloud.wait(self.endpoint, cloud.call(self.endpoint, "POST", f"{_path(inputs)}/connections", body=sent))
        return self.identity(inputs), self.read(cloud, "", inputs) or {}

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Find it in the list of the network's connections."""
        try:
            query = {"network": self._network(cloud, inputs)}
            found = cloud.get(self.endpoint, f"{_path(inputs)}/connections", query).get("connections", [])
        except NotFoundError:
            return None
        return next(iter(found), None)

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Other ranges."""
        if "reservedPeeringRanges" in changed:
            query = {"force": "true", "updateMask": "reservedPeeringRanges"}
            path, sent = f"{_path(inputs)}/connections/-", self._body(cloud, inputs)
            cloud.wait(self.endpoint, cloud.call(self.endpoint, "PATCH", path, body=sent, query=query))
        return self.read(cloud, identity, inputs) or {}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """POST its end."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        path = f"{_path(inputs)}/connections/servicenetworking-googleapis-com"
        try:
            sent = {"consumerNetwork": self._network(cloud, inputs)}
            cloud.wait(self.endpoint, cloud.call(self.endpoint, "POST", path, body=sent))
        except NotFoundError:
            return

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """The peering's name is the cloud's."""
        return {"peering": live.get("peering")}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Its ranges, in whatever order."""
        wanted = {"reservedPeeringRanges": sorted(inputs["reservedPeeringRanges"])}
        return list(diff.drift(wanted, {"reservedPeeringRanges": sorted(live.get("reservedPeeringRanges", []))}))

    def _body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        ranges = list(inputs["reservedPeeringRanges"])
        return {"network": self._network(cloud, inputs), "reservedPeeringRanges": ranges}

    @staticmethod
    def _network(cloud: Cloud, inputs: Inputs) -> str:
        given = str(inputs["network"])
        _, project, *rest = given[given.find("projects/") :].split("/")
        found = cloud.once(
            f"number of {project}", lambda: cloud.get("cloudResourceManager", f"projects/{project}")["projectNumber"]
        )
        return "/".join(("projects", str(found), *rest))


def _path(inputs: Inputs) -> str:
    return f"services/{inputs['service']}"
