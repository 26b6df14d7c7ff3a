"""gchostpay4: the chain's webhook. It holds no key of the wallet, asks no node and writes no payout.

Its doors: POST / (signed) for Alchemy; /sweep for the scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_code.gchostpay4.receive import Receiver
from service_code.kit.call import Call
from service_code.kit.runtime import Kit
from service_code.kit.service import Public, Schedule, Service

#: Secrets and the fewest characters each must have.
SECRETS = {"ALCHEMY_WEBHOOK_SIGNING_KEY": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""

    async def sweep(_call: Call) -> Mapping[str, Any]:
        return {"status": "swept", "resent": await kit.outbox.resend()}

    return Service(
        name="gchostpay4",
        public=[Public("POST", "/", Receiver(kit).hear)],
        schedules=[Schedule("/sweep", sweep)],
    )
