"""gcsplit: divides a payment between client and platform, orders the exchange and has the host pay it.

Its doors: /process_split behind split-payment-queue; /eth-client-swap behind gcsplit-estimate-response-queue; /sweep
and /fallback for the scheduler; for operators /dead/..., /refused/... (batches and conversions), /dead-letters/... and
/operator-actions (those of all services), /failed-transactions/..., /ways/{unique_id}, /payments/{unique_id}/resend and
/reconcile/...
"""

from __future__ import annotations

from service_code.gcsplit.anew import Anew
from service_code.gcsplit.asked import Asked
from service_code.gcsplit.failed import Failed
from service_code.gcsplit.fallback import Fallback
from service_code.gcsplit.letters import Letters
from service_code.gcsplit.refused import Refused
from service_code.gcsplit.replay import Replayer
from service_code.gcsplit.rules import HOSTPAY_QUEUES, PAYOUT, rules_of
from service_code.gcsplit.showing import Showing
from service_code.gcsplit.split import Splitter
from service_code.gcsplit.standing import Standing
from service_code.gcsplit.sums import Sums
from service_code.gcsplit.sweep import Sweeper
from service_code.kit import minting
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow
from service_code.kit.estimates import ESTIMATE, SplitEstimated
from service_code.kit.orders import SplitOrder
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Incoming, Operator, Reply, Schedule, Service

#: Secrets and the fewest characters each must have.
SECRETS = {"TPS_HOSTPAY_SIGNING_KEY": 32, "CHANGENOW_API_KEY": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    kit.routes.need(PAYOUT, "single/staged")
    kit.routes.need(ESTIMATE, "inline/queue")
    rules = rules_of(kit.settings)
    exchange = ChangeNow(kit.settings.endpoints.changenow, kit.settings.secret("CHANGENOW_API_KEY"), kit.outside)
    splitter = Splitter(kit, rules, exchange)
    anew = Anew(kit, rules, exchange)
    replayer = Replayer(kit, splitter, anew)
    fallback = Fallback(kit, rules, anew)
    failed, letters, refused = Failed(kit), Letters(kit), Refused(kit)
    secret = kit.settings.secret("TPS_HOSTPAY_SIGNING_KEY")

    async def way(incoming: Incoming, _call: Call) -> Reply:
        unique_id = incoming.path["unique_id"]
        return Reply(200, {"unique_id": unique_id, "way": await kit.routes.way(PAYOUT, unique_id)})

    return Service(
        name="gcsplit",
        handlers=[
            Handler("/process_split", SplitOrder, splitter.split),
            Handler("/eth-client-swap", SplitEstimated, splitter.estimated),
        ],
        schedules=[
            Schedule("/sweep", Sweeper(kit, rules, fallback).sweep),
            Schedule("/fallback", fallback.fall_back),
        ],
        operator=[
            Operator("GET", "/dead", replayer.dead),
            Operator("POST", "/dead/{unique_id}/replay", replayer.replay),
            Operator("GET", "/dead/{unique_id}", Showing(kit).payment),
            Operator("GET", "/refused", refused.listed),
            Operator("GET", "/refused/{unique_id}", refused.one),
            Operator("GET", "/dead-letters", letters.listed),
            Operator("GET", "/dead-letters/{number}", letters.one),
            Operator("POST", "/dead-letters/{number}/archive", letters.archive),
            Operator("POST", "/dead-letters/{number}/restore", letters.restore),
            Operator("GET", "/operator-actions", letters.actions),
            Operator("GET", "/ways/{unique_id}", way),
            Operator("GET", "/failed-transactions", failed.listed),
            Operator("POST", "/failed-transactions/{unique_id}/retry", replayer.replay),
            Operator("POST", "/failed-transactions/{unique_id}/status", failed.mark),
            Operator("POST", "/failed-transactions/{unique_id}/recovered", failed.recovered),
            Resending(kit, {HOSTPAY_QUEUES["single"]: fallback.resend}).door,
            Operator("GET", "/reconcile/payments", Standing(kit, rules).payments),
            Operator("GET", "/reconcile/ledger", Sums(kit).ledger),
            Operator("GET", "/reconcile/orders", Asked(kit, exchange).orders),
        ],
        minters={
            **minting.ORDER.minter(secret, at_delivery=rules.tokens["single"].at_delivery),
            **minting.TRIGGER.minter(secret),
        },
    )
