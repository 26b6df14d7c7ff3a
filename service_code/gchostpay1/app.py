"""gchostpay1: the staged payout's orchestrator. It calls nobody outside.

Its doors: / behind gcsplit-hostpay-trigger-queue; /status-verified behind gchostpay-status-response-queue;
/payment-completed behind gchostpay-payment-response-queue; /payment-failed behind gchostpay-payment-failed-queue;
/sweep for the scheduler; /payments/{unique_id}/resend for operators.
"""

from __future__ import annotations

from service_code.gchostpay1.orchestrate import Orchestrator
from service_code.gchostpay1.sweep import Sweeper
from service_code.kit import minting
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Schedule, Service
from service_code.kit.staged import PayoutFailed, PayoutMined, StatusSeen, TriggerPayout

#: Secrets and the fewest characters each must have.
SECRETS = {"TPS_HOSTPAY_SIGNING_KEY": 32, "HOSTPAY_INTERNAL_SIGNING_KEY": 64}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    orchestrator = Orchestrator(kit)
    secret = kit.settings.secret("HOSTPAY_INTERNAL_SIGNING_KEY")
    return Service(
        name="gchostpay1",
        handlers=[
            Handler("/", TriggerPayout, orchestrator.accept),
            Handler("/status-verified", StatusSeen, orchestrator.on_status),
            Handler("/payment-completed", PayoutMined, orchestrator.on_paid),
            Handler("/payment-failed", PayoutFailed, orchestrator.on_failed),
        ],
        schedules=[Schedule("/sweep", Sweeper(kit).sweep)],
        operator=[Resending(kit).door],
        minters={**minting.CHECK.minter(secret), **minting.EXECUTE.minter(secret)},
    )
