"""Calls to the services' operator doors, with an ID token of the operator's account."""

from __future__ import annotations

from typing import Any

import spec
from ops import rest
from ops.cloud import LocalCloud
from ops.home import Home
from ops.stack import identity


class Operator:
    """The account that may look at payments and replay dead ones."""

    def __init__(self, home: Home) -> None:
        self.cloud = LocalCloud(home)
        self._email = spec.names.account_email(spec.names.OPERATOR_ACCOUNT_ID, identity.of_local_stack().project)
        self._urls: dict[str, str] = {}

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """The JSON answer of one call; CallFailed for any other than 2xx."""
        if service not in self._urls:
            self._urls[service] = identity.service_url(self.cloud.ports, service)
        url = self._urls[service]
        return rest.call(method, url + path, body, headers=self.cloud.as_account(self._email, url))
