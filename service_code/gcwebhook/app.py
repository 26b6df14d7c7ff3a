"""gcwebhook: the entry of a payment. Records it, has it split, and lets the buyer into the channel.

Its doors: POST / (the processor's signed notice) and GET / (the signed redirect, recorded only) for anybody;
/grant-access behind channel-access-queue; /sweep for the scheduler; /payments/{unique_id}, /thresholds,
/payments/{unique_id}/resend and /payments/{unique_id}/grant for operators.
"""

from __future__ import annotations

from service_code.gcwebhook.access import ChannelAccess
from service_code.gcwebhook.operate import Grants
from service_code.gcwebhook.payments import thresholds_of
from service_code.gcwebhook.receive import Receiver
from service_code.gcwebhook.sweep import Sweeper
from service_code.gcwebhook.view import View
from service_code.kit.call import Call
from service_code.kit.money import Amount
from service_code.kit.orders import GrantAccess
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Incoming, Operator, Public, Reply, Schedule, Service
from service_code.kit.threshold import UNIT

#: Secrets and the fewest characters each must have.
SECRETS = {"PROCESSOR_IPN_KEY": 16, "SUCCESS_URL_SIGNING_KEY": 32, "TELEGRAM_BOT_TOKEN": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    receiver, access = Receiver(kit), ChannelAccess(kit)
    gathered = {str(key): Amount(currency=UNIT, units=units) for key, units in thresholds_of(kit.settings).items()}

    async def thresholds(_incoming: Incoming, _call: Call) -> Reply:
        return Reply(200, {"thresholds": {channel: amount.text() for channel, amount in gathered.items()}})

    return Service(
        name="gcwebhook",
        public=[Public("POST", "/", receiver.notice), Public("GET", "/", receiver.redirect)],
        handlers=[Handler("/grant-access", GrantAccess, access.grant)],
        schedules=[Schedule("/sweep", Sweeper(kit).sweep)],
        operator=[
            Operator("GET", "/payments/{unique_id}", View(kit).payment),
            Operator("GET", "/thresholds", thresholds),
            Resending(kit).door,
            Operator("POST", "/payments/{unique_id}/grant", Grants(kit).again),
        ],
    )
