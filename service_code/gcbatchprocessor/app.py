"""gcbatchprocessor: assembles batches and has each paid by the staged path.

Its doors: /process behind gcbatchprocessor-queue; /sweep for the scheduler; /batches, /batches/{batch_id}/retry,
/batches/{batch_id}/settle, /conversions/{unique_id}/settle and /payments/{unique_id}/resend for operators.
"""

from __future__ import annotations

from service_code.gcbatchprocessor import unconverted
from service_code.gcbatchprocessor.batches import Batches
from service_code.gcbatchprocessor.operate import Operators
from service_code.gcbatchprocessor.sweep import Sweeper
from service_code.kit import minting
from service_code.kit.changenow import ChangeNow
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Operator, Schedule, Service
from service_code.kit.threshold import BatchDue

#: Secrets and the fewest characters each must have.
SECRETS = {"TPS_HOSTPAY_SIGNING_KEY": 32, "CHANGENOW_API_KEY": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    exchange = ChangeNow(kit.settings.endpoints.changenow, kit.settings.secret("CHANGENOW_API_KEY"), kit.outside)
    batches = Batches(kit, exchange)
    operators = Operators(kit, batches)
    return Service(
        name="gcbatchprocessor",
        handlers=[Handler("/process", BatchDue, batches.process)],
        schedules=[Schedule("/sweep", Sweeper(kit, batches).sweep)],
        operator=[
            Operator("GET", "/batches", operators.listed),
            Operator("POST", "/batches/{batch_id}/retry", operators.retry),
            Operator("POST", "/batches/{batch_id}/settle", operators.settle),
            Operator("POST", "/conversions/{unique_id}/settle", unconverted.settle),
            Resending(kit).door,
        ],
        minters=minting.TRIGGER.minter(kit.settings.secret("TPS_HOSTPAY_SIGNING_KEY")),
    )
