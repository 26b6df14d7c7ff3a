"""How the services of a test reach one another by HTTP, in the test's own loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from service_code.kit import outside
from service_code.kit.outside import Outside, UnreachableError


class Answer(Protocol):
    """What a service answered."""

    @property
    def status(self) -> int: ...

    @property
    def text(self) -> str: ...


class Service(Protocol):
    """An instance that answers."""

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer: ...


class Doors:
    """Where services find one another, with harm on demand; a service that does not run is away."""

    def __init__(self) -> None:
        self._open: dict[str, list[Service]] = {}
        #: (service's URL, status) of every call that was made directly.
        self.calls: list[tuple[str, int]] = []
        #: "away" (nothing arrives) or "lost" (handled, but the answer does not arrive)
        self.harm: str | None = None
        #: What happens while the caller waits for an answer that has been given.
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None

    def open(self, url: str, running: Service) -> None:
        self._open.setdefault(url, []).append(running)

    def close(self, url: str, running: Service) -> None:
        self._open[url].remove(running)

    async def call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Bring a call to the newest instance of the service that its URL names."""
        base, path = "/".join(url.split("/")[:3]), "/" + url.split("/", 3)[3]
        if self.harm == "away" or not self._open.get(base):
            raise UnreachableError("nobody is there")
        answer = await self._open[base][-1].request(method, path, body, **headers)
        self.calls.append((base, answer.status))
        if self.meanwhile:
            await self.meanwhile()
        if self.harm == "lost":
            raise UnreachableError("no answer in 30 s", timeout=True)
        return answer


class Wire(Outside):
    """The outside of a service, in which the other services of the test are found."""

    def __init__(self, doors: Doors) -> None:
        super().__init__()
        self._doors = doors

    async def call(
        self,
        method: str,
        url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = outside.TIMEOUT,
    ) -> outside.Answer:
        if ".run.app/" not in url:
            return await super().call(
                method, url, what=what, headers=headers, params=params, body=body, timeout=timeout
            )
        answer = await self._doors.call(method, url, headers or {}, body or b"")
        return outside.Answer(answer.status, answer.text.encode())
