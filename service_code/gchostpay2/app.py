"""gchostpay2: asks ChangeNow for the status of a payout's order. It has no database.

Its door: / behind gchostpay-status-check-queue.
"""

from __future__ import annotations

from service_code.gchostpay2.check import Checker
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Service
from service_code.kit.staged import CheckStatus

#: Secrets and the fewest characters each must have.
SECRETS = {"HOSTPAY_INTERNAL_SIGNING_KEY": 64, "CHANGENOW_API_KEY": 16}
STATELESS = True


def service(kit: Kit) -> Service:
    """Declare the service's door."""
    return Service(name="gchostpay2", handlers=[Handler("/", CheckStatus, Checker(kit).check)])
