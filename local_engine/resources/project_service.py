"""``gcp:projects/service:Service``: an API of the project, enabled."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..resource_type import Inputs, ResourceType, templated
from ..shapes import Shape, flag, name_part, required

#: The provider asks for all enabled APIs at once.
_LISTED = {"fields": "services/name,nextPageToken", "filter": "state:ENABLED", "pageSize": "200"}


class ProjectService(ResourceType):
    """An enabled API."""

    token = "gcp:projects/service:Service"
    endpoint = "serviceUsage"
    inputs: ClassVar[Shape] = {
        "service": required(name_part()),
        "project": name_part(),
        "disableOnDestroy": flag(virtual=True),
        "disableDependentServices": flag(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Project and service."""
        return templated("{project}/{service}", inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Enable it, unless it is enabled."""
        identity = self.identity(inputs)
        live = self.read(cloud, identity, inputs)
        if live is None:
            path = templated("projects/{project}/services/{service}:enable", inputs)
            cloud.wait(self.endpoint, cloud.call(self.endpoint, "POST", path))
            cloud.forget(_key(inputs))
            live = {"state": "ENABLED"}
        return identity, live

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Find it among the enabled ones."""
        enabled: frozenset[str] = cloud.once(_key(inputs), lambda: self._enabled(cloud, inputs))
        return {"state": "ENABLED"} if inputs["service"] in enabled else None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Only the provider's own flags can change."""
        return {"state": "ENABLED"}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Leave it enabled, unless the program asks for more."""
        if inputs.get("disableOnDestroy"):
            path = templated("projects/{project}/services/{service}:disable", inputs)
            sent: dict[str, Any] = {"disableDependentServices": bool(inputs.get("disableDependentServices"))}
            cloud.wait(self.endpoint, cloud.call(self.endpoint, "POST", path, body=sent))

    def _enabled(self, cloud: Cloud, inputs: Inputs) -> frozenset[str]:
        project = inputs["project"]
        cloud.get("cloudResourceManager", f"projects/{project}")
        found: set[str] = set()
        query = dict(_LISTED)
        while True:
            page = cloud.get(self.endpoint, f"projects/{project}/services", query)
            found.update(str(service["name"]).rsplit("/", 1)[-1] for service in page.get("services", ()))
            if not page.get("nextPageToken"):
                return frozenset(found)
            query["pageToken"] = page["nextPageToken"]


def _key(inputs: Inputs) -> str:
    return f"enabled services of {inputs['project']}"
