"""gchostpay3: the staged payout's executor, which pays from the host wallet.

Its doors: / behind gchostpay-payment-execute-queue and gchostpay3-retry-queue; /confirm behind
gchostpay3-confirm-queue; /sweep for the scheduler; /payments/{unique_id}/resend for operators, who see to the wallet at
gchostpay, which shares it.
"""

from __future__ import annotations

from service_code.gchostpay3.execute import Executor
from service_code.gchostpay3.failing import RETRY_QUEUE
from service_code.kit import minting
from service_code.kit.orders import ConfirmPayout
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Component, Handler, Schedule, Service
from service_code.kit.staged import ExecutePayout
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler
from service_code.kit.wallet.sweep import Sweeper

CONFIRM_QUEUE = "gchostpay3-confirm-queue"
#: Secrets and the fewest characters each must have.
SECRETS = {
    "HOSTPAY_INTERNAL_SIGNING_KEY": 64,
    "ETHEREUM_RPC_URL": 12,
    "HOST_WALLET_PRIVATE_KEY": 64,
    "SLACK_ALERT_WEBHOOK": 4,
}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    secret = kit.settings.secret("HOSTPAY_INTERNAL_SIGNING_KEY")
    payer = Payer(kit, CONFIRM_QUEUE)
    settler = Settler(payer)
    executor = Executor(payer, settler)

    async def chain() -> None:
        await payer.node.head()

    return Service(
        name="gchostpay3",
        handlers=[
            Handler("/", ExecutePayout, executor.execute),
            Handler("/confirm", ConfirmPayout, executor.confirm),
        ],
        schedules=[Schedule("/sweep", Sweeper(payer, settler, (RETRY_QUEUE,)).sweep)],
        operator=[Resending(kit).door],
        components=[Component("chain", chain)],
        minters={**minting.MINED.minter(secret), **minting.EXECUTE.minter(secret)},
    )
