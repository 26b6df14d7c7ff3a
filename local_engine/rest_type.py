"""The usual REST resource: created by POST to its collection, read, patched and deleted by its path."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from . import diff
from .cloud import Cloud, JsonObject
from .errors import NotFoundError
from .model import Change
from .reading import declared, unmodelled
from .resource_type import Defaults, Inputs, ResourceType, path_of, templated
from .shapes import body

#: Fields that the cloud sets in resources of many kinds.
GIVEN: Final = frozenset(
    {
        *("name", "uid", "etag", "state", "createTime", "updateTime", "creationRecord", "mutationRecord"),
        *("mutationRecords", "reconciling", "satisfiesPzs", "selfLink"),
    }
)


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
    #: Patches answer with one too, where creates do.
    patch_operates: ClassVar[bool] = True
    #: The patch's ``updateMask`` names the changed fields.
    masked: ClassVar[bool] = True
    patch_method: ClassVar[str] = "PATCH"
    #: What stands before the collection and the identity in URLs, as ``v3/``.
    prefix: ClassVar[str] = ""
    #: The cloud chooses the name and tells it in the answer to a create.
    names_itself: ClassVar[bool] = False
    #: PUT creates at the resource's own path.
    create_method: ClassVar[str] = "POST"
    #: The body of an update stands below this name.
    update_wrapper: ClassVar[str] = ""
    #: An update carries only what it can change.
    patches_mutable: ClassVar[bool] = False
    #: What an update's mask names for an input, where it is not the input's own name in the body.
    masks: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: ``labels`` are those of the resource, to which the engine adds its own.
    labelled: ClassVar[bool] = True
    #: Where a list's answer keeps the resources, if not under the collection's name; and what is asked besides.
    list_key: ClassVar[str] = ""
    list_query: ClassVar[Mapping[str, str]] = {}
    #: Fields that only the cloud sets, besides those of every resource.
    given: ClassVar[frozenset[str]] = frozenset()
    #: Outputs that only the cloud knows: output name -> path in its answer.
    computed: ClassVar[Mapping[str, str]] = {}

    def identity(self, inputs: Inputs) -> str:
        """The path of the resource."""
        if self.names_itself:
            return ""
        return templated(f"{self.collection}/{{{self.name_input}}}", inputs)

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The body of a write."""
        sent = body(self.inputs, inputs)
        if "labels" in self.inputs and self.labelled:
            sent["labels"] = dict(cloud.attribution) | dict(inputs.get("labels") or {})
        return sent

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """POST to the collection, wait, read back."""
        sent, query = self.body(cloud, inputs), None
        identity = self.identity(inputs)
        path = self.prefix + templated(self.collection, inputs)
        if self.name_query:
            query = {self.name_query: str(inputs[self.name_input])}
        elif self.create_method == "PUT":
            path = self.url(identity)
        elif not self.names_itself:
            sent = {"name": self.sent_name(inputs)} | sent
        answer = cloud.call(self.endpoint, self.create_method, path, body=sent, query=query)
        if self.operations:
            self.wait(cloud, inputs, answer)
        if self.names_itself:
            identity = str(answer["name"])
        self.after_create(cloud, identity, inputs)
        return identity, cloud.settled(lambda: self.fetch(cloud, identity))

    def url(self, identity: str) -> str:
        """The path of the resource's URL."""
        return path_of(self.prefix + identity)

    def fetch(self, cloud: Cloud, identity: str) -> JsonObject:
        """GET the resource."""
        return cloud.get(self.endpoint, self.url(identity))

    def wait(self, cloud: Cloud, inputs: Inputs, answer: JsonObject) -> None:
        """Until the operation that a write answered with is over."""
        cloud.wait(self.endpoint, answer)

    def sent_name(self, inputs: Inputs) -> str:
        """The ``name`` of a create's body."""
        return self.identity(inputs)

    def after_create(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Further calls that a create needs."""

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """GET the path."""
        try:
            return self.fetch(cloud, identity)
        except NotFoundError:
            return None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """PATCH the path with the whole body, naming the changed fields; read back."""
        fields = self.changed_fields(changed)
        if fields:
            sent = self.update_body(cloud, identity, inputs)
            if self.update_wrapper:
                sent = {self.update_wrapper: sent}
            query = {"updateMask": ",".join(fields)} if self.masked else None
            answer = cloud.call(self.endpoint, self.patch_method, self.url(identity), body=sent, query=query)
            if self.operations and self.patch_operates:
                self.wait(cloud, inputs, answer)
        return self.fetch(cloud, identity)

    def changed_fields(self, changed: frozenset[str]) -> list[str]:
        """What an update's mask names."""
        # A change of an input is named as the program does, drift as the cloud does.
        sendable = {name: known.api or name for name, known in self.inputs.items() if not known.virtual}
        named = [name for name, api in sendable.items() if name in changed or api in changed]
        return [field for name in named for field in self.masks.get(name, (sendable[name],))]

    def update_body(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject:
        """The body of an update."""
        sent = self.body(cloud, inputs)
        if self.patches_mutable:
            fixed = {known.api or name for name, known in self.inputs.items() if known.replaces}
            sent = {name: value for name, value in sent.items() if name not in fixed}
        return sent

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """DELETE the path."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        try:
            answer = cloud.call(self.endpoint, "DELETE", self.url(identity), query=self.delete_query(inputs))
        except NotFoundError:
            return
        if self.operations:
            self.wait(cloud, inputs, answer)

    def delete_query(self, inputs: Inputs) -> Mapping[str, str] | None:
        """What a deletion asks besides."""
        return None

    def interrupted(self, cloud: Cloud, identity: str, inputs: Inputs) -> tuple[str, JsonObject] | None:
        """What stands under the identity; of what the cloud names, whatever is just as it would have been made."""
        if not self.names_itself:
            return super().interrupted(cloud, identity, inputs)
        collection = templated(self.collection, inputs)
        found = cloud.get(self.endpoint, self.prefix + collection).get(collection.rpartition("/")[2], ())
        return next(((str(one["name"]), one) for one in found if not self.drift(cloud, inputs, one)), None)

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Predicted outputs and those that the cloud computed."""
        return self.predicted(inputs) | {name: _at(live, path) for name, path in self.computed.items()}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Compare the body that would be sent with the answer.

        The label of whoever made it is set when it is made, as the provider does: what was taken over has none.
        """
        sent = self.body(cloud, inputs)
        if "labels" in self.inputs and self.labelled:
            sent["labels"] = dict(inputs.get("labels") or {})
        return list(diff.drift(sent, live))

    def listed(self, cloud: Cloud, given: Defaults) -> Iterator[JsonObject]:
        """Everything of this type in the project (and region), as the cloud says it."""
        names = {"project": given.project, "location": given.region, "region": given.region}
        collection = templated(self.collection, names)
        key = self.list_key or collection.rpartition("/")[2]
        return cloud.pages(self.endpoint, self.prefix + collection, key, self.list_query)

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """The inputs that declare what is there: the place out of its name, the rest out of its body."""
        # Some names hold the project's number.
        found = self._placed(str(live.get("name", ""))) | {"project": given.project} | declared(self.inputs, live)
        return {name: found[name] for name in self.inputs if name in found}

    def _placed(self, path: str) -> dict[str, Any]:
        """The parts of the resource's path that are inputs."""
        whole = self.collection if self.names_itself else f"{self.collection}/{{{self.name_input}}}"
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(whole))
        match = re.match(pattern, path)
        return match.groupdict() if match else {}

    def unmodelled(self, live: JsonObject) -> list[str]:
        """What is set there that no input here says: whoever declares the rest would take it away."""
        return sorted(set(unmodelled(self.inputs, live, GIVEN | self.given)))


def _at(live: Any, path: str) -> Any:
    for part in path.split("."):
        live = live.get(part) if isinstance(live, Mapping) else None
    return live
