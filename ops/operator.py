"""Calls to the services' operator doors, with an ID token of the operator's account.

Names and URLs are those of what is deployed, as the local cloud says them: an operator must be able to look at payments
and to replay them while somebody is in the middle of editing the specs.
"""

from __future__ import annotations

from typing import Any

import spec
from ops import rest
from ops.cloud import LocalCloud
from ops.errors import OpsError
from ops.home import Home


class Operator:
    """The account that may look at payments and replay dead ones."""

    def __init__(self, home: Home) -> None:
        self.cloud = LocalCloud(home)
        status = self.cloud.status()
        self.project, self.region = str(status["project"]), str(status["location"])
        self._email = spec.names.account_email(spec.names.OPERATOR_ACCOUNT_ID, self.project)
        self._urls = _urls(status)

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """The JSON answer of one call; CallFailed for any other than 2xx."""
        if service not in self._urls:  # deployed since, perhaps
            self._urls = _urls(self.cloud.status())
        url = self._urls.get(service)
        if url is None:
            raise OpsError(
                f"the service {service} is not deployed in {self.cloud.home.path}",
                why="this command asks it",
                fix="./sluice up deploys what the specs say",
            )
        return rest.call(method, url + path, body, headers=self.cloud.as_account(self._email, url))


def _urls(status: dict[str, Any]) -> dict[str, str]:
    return {name: str(service["url"]) for name, service in status["services"].items()}
