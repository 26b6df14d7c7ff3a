"""A resource of Compute: operations that say DONE, links in the place of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .cloud import Cloud, JsonObject
from .errors import OperationFailedError
from .resource_type import Inputs, templated
from .rest_type import RestType


class ComputeType(RestType):
    """A global or regional resource of Compute v1."""

    endpoint = "compute"
    operations, masked = True, False
    computed: ClassVar[Mapping[str, str]] = {"selfLink": "selfLink"}

    def sent_name(self, inputs: Inputs) -> str:
        """The bare name."""
        return str(inputs[self.name_input])

    def wait(self, cloud: Cloud, inputs: Inputs, answer: JsonObject) -> None:
        """Poll the operation of the resource's own scope."""

        def read(current: JsonObject) -> JsonObject:
            errors = current.get("error", {}).get("errors", [])
            if errors:
                code, said = str(errors[0].get("code")), str(errors[0].get("message"))
                raise OperationFailedError(int(current.get("httpErrorStatusCode", 0)), code, said, path)
            return {"name": path, "done": current.get("status", "DONE") == "DONE"}

        scope = "regions/{region}" if "region" in self.inputs else "global"
        path = templated(f"projects/{{project}}/{scope}/operations/", inputs) + str(answer.get("name", ""))
        current = read(answer)
        while not current["done"]:
            current = read(cloud.get(self.endpoint, path))


def network_of(inputs: Inputs) -> str:
    """The path of a network that is given by its name, its path or its link."""
    given = str(inputs["network"])
    start = given.find("projects/")
    return given[start:] if start >= 0 else f"projects/{inputs['project']}/global/networks/{given}"
