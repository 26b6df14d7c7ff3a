"""The direct way of a hop: the sender calls the receiver's door by itself, as its own account, and waits.

What the door answers with a 2xx was handled. Everything else leaves the message to the outbox, whose sweeper sends it
by the queue: the receiver may have done it all the same, and is idempotent. Source: seeds/000 (USE_CLOUD_TASKS=false,
30 seconds); docs/adr/routes.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from service_code.kit.access import Access, once_more
from service_code.kit.outside import Answer, Outside, UnreachableError
from service_code.kit.releases import HEADER
from service_code.kit.settings import QueueEdge, Settings
from service_code.kit.tasks import traceparent


class DirectError(RuntimeError):
    """The receiver did not say that it has handled the message."""


class Direct:
    """Calls the receivers of the hops that may be direct."""

    def __init__(self, settings: Settings, outside: Outside, access: Access) -> None:
        self._queues = settings.queues
        self._timeouts = {route.queue: route.timeout for route in settings.routes.values() if route.queue}
        self._outside = outside
        self._access = access

    def patience(self, queue: str) -> float:
        """Return the seconds for which the receiver is waited for."""
        return self._timeouts[queue]

    async def deliver(
        self, queue: str, outbox_id: str, body: bytes, *, trace: str = "", canary: bool = False, pins: str = ""
    ) -> None:
        """Have the receiver handle a message, or raise a DirectError."""
        edge = self._queues.get(queue)
        if edge is None:
            raise DirectError(f"{queue} is not among this service's QUEUES")
        url = edge.canary_url if canary and edge.canary_url else edge.url
        headers = {"Content-Type": "application/json"}
        if trace:
            headers["traceparent"] = traceparent(trace, outbox_id)
        if pins:
            headers[HEADER] = pins
        answer = await once_more(self._access, lambda: self._post(edge, url, headers, body))
        if not 200 <= answer.status < 300:
            raise DirectError(f"the receiver of {queue} answered {answer.status}")

    async def _post(self, edge: QueueEdge, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            token = await self._access.id_token(edge.audience)
        except Exception as error:
            raise DirectError(f"no ID token: {type(error).__name__}") from error
        try:
            return await self._outside.call(
                "POST",
                url,
                what=f"the receiver of {edge.name}",
                headers={"Authorization": f"Bearer {token}", **headers},
                body=body,
                timeout=self.patience(edge.name),
            )
        except UnreachableError as error:
            raise DirectError(str(error)) from error
