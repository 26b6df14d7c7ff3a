"""How a stack is reached: its services' operator doors and Cloud Tasks, on this machine or on Google Cloud.

On Google Cloud the caller must be allowed to impersonate the operator's account and to look at the queues
(roles/cloudtasks.viewer).
"""

from __future__ import annotations

from typing import Any, Protocol

from ops import place, rest
from ops.errors import OpsError
from ops.place import Local, Place
from ops.reconcile import helps
from ops.reconcile.helps import Helps


class Reach(Protocol):
    """One stack."""

    #: `projects/.../locations/...` of its queues.
    location: str
    #: The commands that help there.
    helps: Helps

    def call(self, service: str, path: str) -> Any:
        """GET an operator's door of a service; OpsError where it does not answer."""

    def tasks(self, path: str) -> Any:
        """GET a resource of Cloud Tasks."""

    def funded(self, address: str) -> dict[str, int]:
        """What this wallet was given, by currency in base units, as far as the stack knows."""


class Stack:
    """The stack at a place."""

    def __init__(self, there: Place) -> None:
        self._place = there
        self.location = there.parent
        self.helps = helps.of(there)

    def call(self, service: str, path: str) -> Any:
        """GET an operator's door."""
        return self._place.doors.call("GET", service, path)

    def tasks(self, path: str) -> Any:
        """GET a resource of Cloud Tasks."""
        return self._place.call("tasks", "GET", path)

    def funded(self, address: str) -> dict[str, int]:
        """What the sandbox gave it; nothing where no sandbox plays the chain, or another wallet was funded."""
        ports = self._place.home.ports() if isinstance(self._place, Local) and self._place.home else None
        if ports is None:
            return {}
        try:
            told = rest.call("GET", f"http://127.0.0.1:{ports.sandbox}/status", patience=0)
        except OpsError:
            return {}
        wallet = told["host_wallet"]
        if str(wallet["address"]).lower() != address.lower():
            return {}
        return {currency: int(units) for currency, units in {"eth": wallet["funded"], **wallet["given"]}.items()}


def of_stack(stack: str) -> Reach:
    """The stack of this name."""
    return Stack(place.of(stack))
