"""The orchestrator's sweeper: messages that could not be sent. Payouts past their window are gcsplit's to notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_code.kit.call import Call
from service_code.kit.runtime import Kit


class Sweeper:
    """Handles POST /sweep."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def sweep(self, _call: Call) -> Mapping[str, Any]:
        """Do one round."""
        return {"status": "swept", "resent": await self._kit.outbox.resend()}
