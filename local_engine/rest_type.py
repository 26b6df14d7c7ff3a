"""The usual REST resource: created by POST to its collection, read, patched and deleted by its path."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from . import diff
from .cloud import Cloud, JsonObject
from .errors import NotFoundError
from .model import Change
from .resource_type import Inputs, ResourceType, path_of, templated
from .shapes import body


class RestType(ResourceType):
    """A resource at ``<collection>/<name>``: POST to the collection creates it, its path serves the rest."""

    #: The collection's path, with inputs in braces.
    collection: ClassVar[str]
    #: The input that is the last part of the path.
    name_input: ClassVar[str] = "name"
    #: The query parameter that carries the name on create; without it the body's ``name`` does.
    name_query: ClassVar[str] = ""
    #: Writes answer with a long-running operation.
    operations: ClassVar[bool] = False
    #: The patch's ``updateMask`` names the changed fields.
    masked: ClassVar[bool] = True
    patch_method: ClassVar[str] = "PATCH"
    #: Outputs that only the cloud knows: output name -> path in its answer.
    computed: ClassVar[Mapping[str, str]] = {}

    def identity(self, inputs: Inputs) -> str:
        """The path of the resource."""
        return templated(f"{self.collection}/{{{self.name_input}}}", inputs)

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The body of a write."""
        sent = body(self.inputs, inputs)
        if "labels" in self.inputs:
            sent["labels"] = dict(cloud.attribution) | dict(inputs.get("labels") or {})
        return sent

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """POST to the collection, wait, read back."""
        sent, query = self.body(cloud, inputs), None
        identity = self.identity(inputs)
        if self.name_query:
            query = {self.name_query: str(inputs[self.name_input])}
        else:
            sent = {"name": self.sent_name(inputs)} | sent
        answer = cloud.call(self.endpoint, "POST", templated(self.collection, inputs), body=sent, query=query)
        if self.operations:
            cloud.wait(self.endpoint, answer)
        self.after_create(cloud, identity, inputs)
        return identity, cloud.settled(lambda: cloud.get(self.endpoint, path_of(identity)))

    def sent_name(self, inputs: Inputs) -> str:
        """The ``name`` of a create's body."""
        return self.identity(inputs)

    def after_create(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Further calls that a create needs."""

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """GET the path."""
        try:
            return cloud.get(self.endpoint, path_of(identity))
        except NotFoundError:
            return None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """PATCH the path with the whole body, naming the changed fields; read back."""
        sent = self.body(cloud, inputs)
        # A change of an input is named as the program does, drift as the cloud does.
        sendable = {name: known.api or name for name, known in self.inputs.items() if not known.virtual}
        fields = [api for name, api in sendable.items() if name in changed or api in changed]
        if fields:
            query = {"updateMask": ",".join(fields)} if self.masked else None
            answer = cloud.call(self.endpoint, self.patch_method, path_of(identity), body=sent, query=query)
            if self.operations:
                cloud.wait(self.endpoint, answer)
        return cloud.get(self.endpoint, path_of(identity))

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """DELETE the path."""
        try:
            answer = cloud.call(self.endpoint, "DELETE", path_of(identity))
        except NotFoundError:
            return
        if self.operations:
            cloud.wait(self.endpoint, answer)

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Predicted outputs and those that the cloud computed."""
        return self.predicted(inputs) | {name: _at(live, path) for name, path in self.computed.items()}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Compare the body that would be sent with the answer."""
        return list(diff.drift(self.body(cloud, inputs), live))


def _at(live: Any, path: str) -> Any:
    for part in path.split("."):
        live = live.get(part) if isinstance(live, Mapping) else None
    return live
