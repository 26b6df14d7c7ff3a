"""A resource type that is planned and checked, and that the local cloud does not have: it is never applied here."""

# ruff: noqa: ARG002 - one signature for all types

from __future__ import annotations

from typing import Any, ClassVar

from .cloud import Cloud, JsonObject
from .errors import EngineError
from .resource_type import Inputs, ResourceType, templated


class PreviewedType(ResourceType):
    """Whoever wants to apply one is refused before any call (``checks.kind_of``)."""

    previewed_only: ClassVar[bool] = True
    endpoint = "compute"
    #: The path that the resource will have, with inputs in braces.
    path: ClassVar[str]

    def identity(self, inputs: Inputs) -> str:
        """The id that the resource will have."""
        return templated(self.path, inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Not here."""
        raise self._absent()

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """It cannot be there."""
        return None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Not here."""
        raise self._absent()

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Nothing is there."""

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """What the cloud names is known after the apply."""
        return {}

    def _absent(self) -> EngineError:
        return EngineError(f"The local cloud has no {self.token}; `pulumi up` makes it on Google Cloud.")
