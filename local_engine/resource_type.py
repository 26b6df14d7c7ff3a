"""What the engine asks of a resource type.

A type says in code what the provider does: the calls, what forces a replacement, which inputs are secret, what is known
before the apply. ``resources/`` holds one module a family; the folder is the registry.
"""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from .cloud import Cloud, JsonObject
from .model import Change
from .shapes import Shape
from .values import has_unknown

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Defaults:
    """What the provider fills in from its own configuration."""

    project: str
    region: str


class ResourceType(ABC):
    """One type of the provider; create, update and drift get plain inputs (secrets open, nothing unknown)."""

    token: ClassVar[str]
    inputs: ClassVar[Shape]
    #: Provider settings ``<endpoint>CustomEndpoint`` that the calls go to.
    endpoint: ClassVar[str]
    #: The provider's default of ``deletionProtection``, which refuses a deletion; None where there is no such input.
    deletion_protection: ClassVar[bool | None] = None
    #: It is planned and checked, and the local cloud does not have it.
    previewed_only: ClassVar[bool] = False
    #: ``pulumi import`` can find it.
    importable: ClassVar[bool] = True

    def defaults(self, given: Defaults) -> dict[str, Any]:
        """Inputs that the provider takes from its configuration where the program leaves them out."""
        wanted = {"project": given.project, "location": given.region, "region": given.region}
        return {name: value for name, value in wanted.items() if name in self.inputs and value}

    @abstractmethod
    def identity(self, inputs: Inputs) -> str:
        """The id that the resource will have, or "" where the cloud chooses it."""

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """Outputs that are known before the resource exists."""
        return {}

    @abstractmethod
    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Make it; its id and what the cloud then says of it."""

    @abstractmethod
    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """What the cloud says of it, or None where it does not exist."""

    @abstractmethod
    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Bring it to ``inputs``; ``changed`` are the names of the top-level inputs that differ."""

    @abstractmethod
    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Remove it; what is gone already is fine."""

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """The output properties that the program gets, besides its own inputs."""
        return self.predicted(inputs)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Where the cloud no longer holds what was declared, by the paths of the REST body."""
        return []

    def import_id(self, inputs: Inputs, identity: str) -> str:
        """What ``pulumi import`` calls it."""
        return identity

    def interrupted(self, cloud: Cloud, identity: str, inputs: Inputs) -> tuple[str, JsonObject] | None:
        """What an interrupted create left behind under ``identity``, to be adopted."""
        live = self.read(cloud, identity, inputs)
        return None if live is None else (identity, live)


def templated(template: str, inputs: Inputs) -> str:
    """``template`` with the inputs in it, or "" where one is not known yet."""
    try:
        parts = {name: value for name, value in inputs.items() if not has_unknown(value)}
        return template.format_map(parts)
    except KeyError:
        return ""


def path_of(identity: str) -> str:
    """The identity as a URL path."""
    return quote(identity, safe="/:@%")
