"""How a stack is reached: its services' operator doors and Cloud Tasks, on this machine or on Google Cloud."""

from __future__ import annotations

from typing import Any, Protocol

import spec
from ops import rest
from ops.afar import Afar
from ops.errors import OpsError
from ops.home import Home
from ops.operator import Operator
from ops.reconcile.helps import Elsewhere, Helps, Verbs

#: Where Google answers.
TASKS = "https://cloudtasks.googleapis.com"


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


class Local:
    """The running stack of a home."""

    def __init__(self, home: Home) -> None:
        self._operator = Operator(home)
        self.location = f"projects/{self._operator.project}/locations/{self._operator.region}"
        self.helps: Helps = Verbs()

    def call(self, service: str, path: str) -> Any:
        """GET an operator's door."""
        return self._operator.call("GET", service, path)

    def tasks(self, path: str) -> Any:
        """GET a resource of the local cloud's Cloud Tasks."""
        return self._operator.cloud.google("GET", path)

    def funded(self, address: str) -> dict[str, int]:
        """What the sandbox gave it; nothing where no sandbox plays the chain, or another wallet was funded."""
        try:
            told = rest.call("GET", f"http://127.0.0.1:{self._operator.cloud.ports.sandbox}/status", patience=0)
        except OpsError:
            return {}
        wallet = told["host_wallet"]
        if str(wallet["address"]).lower() != address.lower():
            return {}
        return {currency: int(units) for currency, units in {"eth": wallet["funded"], **wallet["given"]}.items()}


class Google:
    """A stack on Google Cloud, with the caller's own credentials (`gcloud auth application-default login`).

    They must be allowed to impersonate the operator's account and to look at the queues (roles/cloudtasks.viewer).
    """

    def __init__(self, stack: str) -> None:
        self._afar = Afar(stack)
        self.location = _location(self._afar.config)
        self.helps: Helps = Elsewhere(self._afar.config)

    def call(self, service: str, path: str) -> Any:
        """GET an operator's door as the operator's account."""
        return self._afar.call("GET", service, path)

    def tasks(self, path: str) -> Any:
        """GET a resource of Cloud Tasks."""
        return self._afar.own("GET", TASKS + path)

    def funded(self, address: str) -> dict[str, int]:  # noqa: ARG002 - the chain is not ours
        """Nobody's to know but the operator's."""
        return {}


def of_stack(stack: str) -> Reach:
    """The stack of this name."""
    return Local(Home.find()) if stack == "local" else Google(stack)


def _location(config: spec.StackConfig) -> str:
    return f"projects/{config.project}/locations/{config.region}"
