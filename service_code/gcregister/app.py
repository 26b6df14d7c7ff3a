"""gcregister: the registry of clients, each a channel with its wallet, payout currency and strategy.

Its doors: POST /register (by an operator's signed invitation) and GET /registrations?id= for clients;
/process_registration behind registration-processing-queue; /sweep for the scheduler; /invitations, /clients and
/clients/{channel_id} for operators.
"""

from __future__ import annotations

from service_code.gcregister.form import RegisterClient
from service_code.gcregister.operate import Desk
from service_code.gcregister.register import Registering
from service_code.gcregister.sweep import Sweeper
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Operator, Public, Schedule, Service

#: Secrets and the fewest characters each must have.
SECRETS = {"REGISTRATION_KEY": 64}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    registering, desk = Registering(kit), Desk(kit)
    return Service(
        name="gcregister",
        public=[
            Public("POST", "/register", registering.register),
            Public("GET", "/registrations", registering.status),
        ],
        handlers=[Handler("/process_registration", RegisterClient, registering.process)],
        schedules=[Schedule("/sweep", Sweeper(kit).sweep)],
        operator=[
            Operator("POST", "/invitations", desk.invite),
            Operator("GET", "/clients", desk.clients),
            Operator("GET", "/clients/{channel_id}", desk.client),
        ],
    )
