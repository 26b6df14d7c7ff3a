"""gchostpay: pays from the host wallet, and settles by the chain.

Its doors: /hostpay_webhook behind hostpay-execution-queue; /confirm behind hostpay-confirm-queue; /look behind
gchostpay4-news-queue, whoever has signed the payout; /sweep for the scheduler; /wallet, /wallet/resume,
/payouts/{unique_id}/abandon and /reconcile/... for operators.
"""

from __future__ import annotations

from service_code.gchostpay.pay import Paying
from service_code.kit.news import ChainNews
from service_code.kit.orders import ConfirmPayout, HostPayOrder
from service_code.kit.runtime import Kit
from service_code.kit.service import Component, Handler, Operator, Schedule, Service
from service_code.kit.wallet.news import Heeder
from service_code.kit.wallet.operate import Operating
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.reconcile import Reconciling
from service_code.kit.wallet.settle import Settler
from service_code.kit.wallet.sweep import Sweeper

CONFIRM_QUEUE = "hostpay-confirm-queue"
#: Secrets and the fewest characters each must have.
SECRETS = {
    "TPS_HOSTPAY_SIGNING_KEY": 32,
    "CHANGENOW_API_KEY": 16,
    "ETHEREUM_RPC_URL": 12,
    "HOST_WALLET_PRIVATE_KEY": 64,
}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    payer = Payer(kit, CONFIRM_QUEUE)
    settler = Settler(payer)
    operating = Operating(payer, settler)

    async def chain() -> None:
        await payer.node.head()

    return Service(
        name="gchostpay",
        handlers=[
            Handler("/hostpay_webhook", HostPayOrder, Paying(payer).pay),
            Handler("/confirm", ConfirmPayout, settler.confirm),
            Handler("/look", ChainNews, Heeder(payer, settler).heed),
        ],
        schedules=[Schedule("/sweep", Sweeper(payer, settler).sweep)],
        operator=[
            Operator("GET", "/wallet", operating.wallet),
            Operator("POST", "/wallet/resume", operating.resume),
            Operator("POST", "/payouts/{unique_id}/abandon", operating.abandon),
            Operator("GET", "/reconcile/wallet", Reconciling(payer).wallet),
            Operator("GET", "/reconcile/payouts", Reconciling(payer).payouts),
        ],
        # Not needed to be healthy: a payer without its node still knows what it has signed.
        components=[Component("chain", chain)],
    )
