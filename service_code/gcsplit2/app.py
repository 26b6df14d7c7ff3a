"""gcsplit2: finds out at the exchange what accumulated payments, and shares of split ones, are worth.

Its doors: /estimate-and-update behind gcsplit2-queue; /estimate behind gcsplit-estimate-queue; /sweep for the
scheduler; /conversions, /conversions/{unique_id}/retry and /payments/{unique_id}/resend for operators.
"""

from __future__ import annotations

from service_code.gcsplit2.convert import Converter
from service_code.gcsplit2.estimate import Estimator
from service_code.gcsplit2.operate import Conversions
from service_code.gcsplit2.sweep import Sweeper
from service_code.kit.changenow import ChangeNow
from service_code.kit.estimates import EstimateSplit
from service_code.kit.resend import Resending
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Operator, Schedule, Service
from service_code.kit.threshold import EstimateAndUpdate

#: Secrets and the fewest characters each must have.
SECRETS = {"CHANGENOW_API_KEY": 16}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    exchange = ChangeNow(kit.settings.endpoints.changenow, kit.settings.secret("CHANGENOW_API_KEY"), kit.outside)
    conversions = Conversions(kit)

    return Service(
        name="gcsplit2",
        handlers=[
            Handler("/estimate-and-update", EstimateAndUpdate, Converter(kit, exchange).convert),
            Handler("/estimate", EstimateSplit, Estimator(exchange).estimate),
        ],
        schedules=[Schedule("/sweep", Sweeper(kit).sweep)],
        operator=[
            Operator("GET", "/conversions", conversions.listed),
            Operator("POST", "/conversions/{unique_id}/retry", conversions.retry),
            Resending(kit).door,
        ],
    )
