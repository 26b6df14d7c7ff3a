"""The services' operator doors of a stack on Google Cloud, asked as the operator's account.

The caller's own credentials are used (`gcloud auth application-default login`), which must be allowed to impersonate
that account. Leaves alone the doors of what stands on this machine (`operator`) and Google's own APIs (`place`).
"""

from __future__ import annotations

from typing import Any, Protocol

import spec
from ops import rest, specs
from ops.google import Login


class Doors(Protocol):
    """Operator doors of one stack's services."""

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """The JSON answer of one call; CallFailed for any other than 2xx."""


class Afar:
    """The doors of one stack on Google Cloud."""

    def __init__(self, stack: str) -> None:
        self.config = specs.config_of(stack)
        self._login = Login(stack, why="the services' doors are asked as the operator's account, which you impersonate")
        self._operator = spec.names.account_email(spec.names.OPERATOR_ACCOUNT_ID, self.config.project)

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """A call of an operator's door as the operator's account."""
        token = self._login.id_token(self._operator, self.config.url(service))
        return rest.call(method, self._door(service) + path, body, headers={"Authorization": f"Bearer {token}"})

    def _door(self, service: str) -> str:
        """Where it is reached: a public service behind a load balancer by its name there; its audience is the same."""
        edge = self.config.edge
        if edge is not None and specs.load().service(service).public:
            return edge.url(service)
        return self.config.url(service)
