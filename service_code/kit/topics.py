"""Publishing to topics: the one call of Pub/Sub that services may make, over REST with google.auth's token.

A thin client for the reasons of `tasks` (docs/adr/thin-tasks-client.md). The messages of one call reach a subscription
with ordering in their order. Publishing has no idempotency key: what is published twice is delivered twice, so every
receiver is idempotent by what is in the message.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service_code.kit.access import Access, once_more
from service_code.kit.outside import Answer, Outside, UnreachableError
from service_code.kit.settings import TopicEdge

#: Seconds for one call: the caller of a public door is waiting for it.
TIMEOUT = 5.0


class TopicError(RuntimeError):
    """The messages were not published, as far as we know; the outbox keeps them and the sweeper tries again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One message as it goes out."""

    data: bytes
    ordering_key: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    def wire(self) -> dict[str, Any]:
        """The REST form; what is empty is left out."""
        whole = {"attributes": dict(self.attributes), "orderingKey": self.ordering_key}
        return {"data": base64.b64encode(self.data).decode(), **{key: value for key, value in whole.items() if value}}


class Topics:
    """Publishes to the topics of the settings."""

    def __init__(self, endpoint: str, topics: Mapping[str, TopicEdge], outside: Outside, access: Access) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._topics = topics
        self._outside = outside
        self._access = access

    def ordered(self, topic: str) -> bool:
        """Whether the topic's subscription keeps the order of a key."""
        edge = self._topics.get(topic)
        return edge is not None and edge.ordered

    async def publish(self, topic: str, messages: Sequence[Published]) -> None:
        """Publish messages in their order, all or none."""
        edge = self._topics.get(topic)
        if edge is None:
            raise TopicError(f"{topic} is not among this service's TOPICS")
        url = f"{self._endpoint}/v1/{edge.path}:publish"
        body = json.dumps({"messages": [message.wire() for message in messages]}).encode()
        answer = await once_more(self._access, lambda: self._post(url, body))
        if answer.status != 200:
            raise TopicError(f"{topic} refused the messages: {answer.status}")

    async def _post(self, url: str, body: bytes) -> Answer:
        try:
            token = await self._access.token()
        except Exception as error:
            raise TopicError(f"no access token: {type(error).__name__}") from error
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            return await self._outside.call("POST", url, what="Pub/Sub", headers=headers, body=body, timeout=TIMEOUT)
        except UnreachableError as error:
            raise TopicError(str(error)) from error
