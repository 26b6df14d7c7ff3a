"""A stack on Google Cloud as its operator sees it: the services' operator doors, and the log.

The caller's own credentials are used (`gcloud auth application-default login`). For the doors they must be allowed to
impersonate the operator's account, for the log they need roles/logging.viewer. Leaves alone what stands on this machine
(`operator`), and queues (`queues/reach`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import spec
from ops import rest, specs
from ops.google import Login

#: Where Google answers.
LOGGING = "https://logging.googleapis.com"
#: Entries in one answer.
PAGE = 1000


class Doors(Protocol):
    """Operator doors of one stack's services."""

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """The JSON answer of one call; CallFailed for any other than 2xx."""


class Afar:
    """One stack on Google Cloud."""

    def __init__(self, stack: str) -> None:
        self.config = specs.config_of(stack)
        self._login = Login(stack, why="the services' doors are asked as the operator's account, which you impersonate")
        self._operator = spec.names.account_email(spec.names.OPERATOR_ACCOUNT_ID, self.config.project)

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """A call of an operator's door as the operator's account."""
        token = self._login.id_token(self._operator, self.config.url(service))
        return rest.call(method, self._door(service) + path, body, headers={"Authorization": f"Bearer {token}"})

    def own(self, method: str, url: str, body: Any = None) -> Any:
        """A call of one of Google's APIs as oneself."""
        return rest.call(method, url, body, headers=self._login.headers())

    def logs(self, filter_: str, *, limit: int) -> Iterator[dict[str, Any]]:
        """The newest log entries that match; an answer may be empty and still not be the last."""
        wish = {
            "resourceNames": [f"projects/{self.config.project}"],
            "filter": filter_,
            "orderBy": "timestamp desc",
        }
        token, left = "", limit
        while left > 0:
            page = {"pageSize": min(PAGE, left), **({"pageToken": token} if token else {})}
            answer = self.own("POST", f"{LOGGING}/v2/entries:list", {**wish, **page})
            entries = answer.get("entries", [])
            yield from entries
            left -= len(entries)
            token = answer.get("nextPageToken", "")
            if not token:
                return

    def _door(self, service: str) -> str:
        """Where it is reached: a public service behind a load balancer by its name there; its audience is the same."""
        edge = self.config.edge
        if edge is not None and specs.load().service(service).public:
            return edge.url(service)
        return self.config.url(service)
