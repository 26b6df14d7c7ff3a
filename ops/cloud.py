"""The local cloud as the command line sees it: /_sluice/ and Google's REST calls, through the owner's door."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ops import entries, rest
from ops.errors import NotRunning
from ops.home import Home, Ports
from ops.supervisor import control

#: An ID token is asked for anew when it is this old (they live for an hour).
TOKEN_FOR = 1800.0


class Cloud:
    """A local cloud at the URL of its owner's door, whoever started it."""

    def __init__(self, url: str) -> None:
        self.rest = url.rstrip("/")
        self.grpc = self.rest.partition("://")[2]
        self._tokens: dict[tuple[str, str], tuple[float, str]] = {}

    def status(self) -> dict[str, Any]:
        """What runs: queues with state and depth, services with revisions and instances."""
        return dict(rest.call("GET", f"{self.rest}/_sluice/status"))

    def admin(self, method: str, path: str, body: Any = None, *, timeout: float = 120) -> Any:
        """A call to the cloud's own surface."""
        return rest.call(method, f"{self.rest}/_sluice/{path}", body, timeout=timeout)

    def google(self, method: str, path: str, body: Any = None) -> Any:
        """A call to one of Google's REST surfaces, such as /v2/projects/.../queues."""
        return rest.call(method, f"{self.rest}{path}", body)

    def logs(
        self, project: str, filter_: str, *, newest_first: bool = False, limit: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Log entries that match a filter of Cloud Logging's language; all of them unless there is a limit."""
        ask = partial(self.google, "POST", "/v2/entries:list")
        return entries.read(ask, project, filter_, newest_first=newest_first, limit=limit)

    def as_account(self, email: str, audience: str) -> Mapping[str, str]:
        """Headers that show a service an ID token of this account."""
        kept, token = self._tokens.get((email, audience), (0.0, ""))
        if time.monotonic() - kept > TOKEN_FOR:
            path = f"/v1/projects/-/serviceAccounts/{email}:generateIdToken"
            token = str(self.google("POST", path, {"audience": audience, "includeEmail": True})["token"])
            self._tokens[email, audience] = (time.monotonic(), token)
        return {"Authorization": f"Bearer {token}"}


class LocalCloud(Cloud):
    """The running local cloud of a home's stack; NotRunning where there is none."""

    def __init__(self, home: Home) -> None:
        ports = home.ports()
        if ports is None or not control.running(home):
            raise NotRunning(str(home.path))
        super().__init__(f"http://127.0.0.1:{ports.rest}")
        self.home = home
        self.ports: Ports = ports
        self.grpc = f"127.0.0.1:{ports.grpc}"
