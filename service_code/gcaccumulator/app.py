"""gcaccumulator: takes the fee and writes the payment down as waiting. It calls nobody outside (seeds/002).

Its doors: /accumulate behind gcaccumulator-queue; /sweep for the scheduler; /payments/{unique_id}/resend for operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_code.gcaccumulator.accumulate import Accumulator
from service_code.kit.call import Call
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Schedule, Service
from service_code.kit.threshold import Accumulate

#: Secrets and the fewest characters each must have.
SECRETS: dict[str, int] = {}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""

    async def sweep(_call: Call) -> Mapping[str, Any]:
        return {"status": "swept", "resent": await kit.outbox.resend()}

    return Service(
        name="gcaccumulator",
        handlers=[Handler("/accumulate", Accumulate, Accumulator(kit).accumulate)],
        schedules=[Schedule("/sweep", sweep)],
        operator=[Resending(kit).door],
    )
