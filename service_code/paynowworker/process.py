"""One event at a time: the books decide, and what they refuse for ever is a dead letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_code.kit.call import Call
from service_code.kit.outcomes import Dead, Done
from service_code.kit.paynow import book
from service_code.kit.paynow.event import PayNowEvent
from service_code.kit.runtime import Kit


class Processor:
    """Handles pushes of paynow-events."""

    def __init__(self, kit: Kit, catalogue: Mapping[str, int]) -> None:
        self._kit = kit
        self._catalogue = catalogue

    async def process(self, event: PayNowEvent, call: Call) -> Done | Dead:
        """POST /api/tasks/paynow/process."""
        found = await book.process(await call.begin(), event, self._catalogue, call.now)
        return Dead(found.code, found.why) if isinstance(found, book.Terminal) else Done(found)

    async def sweep(self, _call: Call) -> Mapping[str, Any]:
        """POST /sweep: dead letters that could not be published."""
        return {"status": "swept", "published": await self._kit.publications.sweep()}
