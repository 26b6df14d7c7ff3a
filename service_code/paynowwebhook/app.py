"""paynowwebhook: the entry of PayNow's events. Verifies, records, publishes, and answers at once.

Its doors: POST /api/paynow/webhook (signed) for anybody; /sweep for the scheduler; /dead/..., /dead-messages/...,
/events/{event_id}, /users/{user_id} and /reconcile/... for operators.
"""

from __future__ import annotations

from service_code.kit.paynow.book import catalogue_of
from service_code.kit.runtime import Kit
from service_code.kit.service import Operator, Public, Schedule, Service
from service_code.paynowwebhook.messages import Messages
from service_code.paynowwebhook.operate import Desk
from service_code.paynowwebhook.receive import Receiver
from service_code.paynowwebhook.reconcile import Reconciling
from service_code.paynowwebhook.sweep import Sweeper

#: Secrets and the fewest characters each must have.
SECRETS = {"PAYNOW_WEBHOOK_SECRET": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    catalogue = catalogue_of(kit.settings)
    desk, messages = Desk(kit, catalogue), Messages(kit)
    return Service(
        name="paynowwebhook",
        public=[Public("POST", "/api/paynow/webhook", Receiver(kit, catalogue).webhook)],
        schedules=[Schedule("/sweep", Sweeper(kit).sweep)],
        operator=[
            Operator("GET", "/dead", desk.dead),
            Operator("POST", "/dead/{event_id}/replay", desk.replay),
            Operator("POST", "/dead/{event_id}/archive", desk.archive),
            Operator("POST", "/dead/{event_id}/restore", desk.restore),
            Operator("POST", "/dead-messages/known", messages.known),
            Operator("POST", "/dead-messages/replay", messages.replay),
            Operator("POST", "/dead-messages/archive", messages.archive),
            Operator("GET", "/events/{event_id}", desk.event),
            Operator("POST", "/users/{user_id}", desk.register),
            Operator("GET", "/reconcile/events", Reconciling(kit).events),
            Operator("GET", "/reconcile/points", Reconciling(kit).points),
        ],
    )
