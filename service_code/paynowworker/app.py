"""paynowworker: processes PayNow's events, pushed in the order of each user, and credits the wallets.

Its doors: /api/tasks/paynow/process behind the topic paynow-events; /sweep for the scheduler.
"""

from __future__ import annotations

from service_code.kit.paynow.book import catalogue_of
from service_code.kit.paynow.event import PayNowEvent
from service_code.kit.runtime import Kit
from service_code.kit.service import Schedule, Service, Subscription
from service_code.paynowworker.process import Processor

#: The service has no secret.
SECRETS: dict[str, int] = {}


def service(kit: Kit) -> Service:
    """Declare the service's doors."""
    processor = Processor(kit, catalogue_of(kit.settings))
    return Service(
        name="paynowworker",
        subscriptions=[
            Subscription(
                path="/api/tasks/paynow/process",
                message=PayNowEvent,
                run=processor.process,
                dead_letters="paynow-events-dlq",
            )
        ],
        schedules=[Schedule("/sweep", processor.sweep)],
    )
