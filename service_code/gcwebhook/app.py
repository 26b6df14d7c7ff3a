"""gcwebhook: the entry of a payment. Records it, has it split, and lets the buyer into the channel.

Its doors: POST / (the processor's signed notice) and GET / (the signed redirect, recorded only) for anybody;
/grant-access behind channel-access-queue; /sweep for the scheduler; /payments/{unique_id} for operators.
"""

from __future__ import annotations

from service_code.gcwebhook.access import ChannelAccess
from service_code.gcwebhook.receive import Receiver
from service_code.gcwebhook.sweep import Sweeper
from service_code.gcwebhook.view import View
from service_code.kit.orders import GrantAccess
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Operator, Public, Schedule, Service

#: Secrets and the fewest characters each must have.
SECRETS = {"PROCESSOR_IPN_KEY": 16, "SUCCESS_URL_SIGNING_KEY": 32, "TELEGRAM_BOT_TOKEN": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    receiver, access = Receiver(kit), ChannelAccess(kit)
    return Service(
        name="gcwebhook",
        public=[Public("POST", "/", receiver.notice), Public("GET", "/", receiver.redirect)],
        handlers=[Handler("/grant-access", GrantAccess, access.grant)],
        schedules=[Schedule("/sweep", Sweeper(kit).sweep)],
        operator=[Operator("GET", "/payments/{unique_id}", View(kit).payment)],
    )
