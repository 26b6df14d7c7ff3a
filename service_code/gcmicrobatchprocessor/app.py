"""gcmicrobatchprocessor: converts what is too small alone, every 15 minutes, and hears of batches that failed.

Its doors: /convert-pending and /sweep for the scheduler; /batch-payment-failed behind
gcmicrobatchprocessor-failed-queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_code.gcmicrobatchprocessor.convert import MicroBatches
from service_code.gcmicrobatchprocessor.failed import BatchFailures
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Schedule, Service
from service_code.kit.staged import PayoutFailed

#: Secrets and the fewest characters each must have.
SECRETS = {"CHANGENOW_API_KEY": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    exchange = ChangeNow(kit.settings.endpoints.changenow, kit.settings.secret("CHANGENOW_API_KEY"), kit.outside)

    async def sweep(_call: Call) -> Mapping[str, Any]:
        return {"status": "swept", "resent": await kit.outbox.resend()}

    return Service(
        name="gcmicrobatchprocessor",
        handlers=[Handler("/batch-payment-failed", PayoutFailed, BatchFailures().note)],
        schedules=[Schedule("/convert-pending", MicroBatches(kit, exchange).convert), Schedule("/sweep", sweep)],
    )
