"""The estimate between gcsplit and gcsplit2: the messages of the route `estimate` on its new way, and its queues.

gcsplit asks what the exchange would pay for the client's share, gcsplit2 asks the exchange, and gcsplit orders at what
came back. A message carries the whole payment with it: nobody asks an earlier station for data (DESIGN section 3).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service_code.kit.changenow import Quote, Route
from service_code.kit.clock import from_millis
from service_code.kit.messages import AmountField
from service_code.kit.orders import Millis, SplitOrder, Text

#: The route on which gcsplit chooses, and what stands on its new way.
ESTIMATE = "estimate"
QUEUED = "queue"
ASK_QUEUE, ANSWER_QUEUE = "gcsplit-estimate-queue", "gcsplit-estimate-response-queue"

#: A rate that the exchange keeps for some minutes, and one of when it is paid.
FIXED, FLOATING = "fixed-rate", "standard"
Flow = Annotated[str, Field(pattern=rf"^({FIXED}|{FLOATING})\z")]
Way = Annotated[str, Field(pattern=r"^(single|staged)\z")]


class EstimateSplit(SplitOrder):
    """gcsplit to gcsplit2: what would the exchange pay for this payment's share?

    `way` is how it will be paid out, `flow` the exchange's word for whether the rate is kept for it.
    """

    share: AmountField
    network: Text
    way: Way
    flow: Flow

    @property
    def fixed(self) -> bool:
        """Whether the rate is kept."""
        return self.flow == FIXED

    @property
    def route(self) -> Route:
        """What is exchanged into what."""
        return Route(
            amount=self.share,
            from_network=self.network,
            to_currency=self.payout_currency,
            to_network=self.payout_network,
            address=self.client_wallet,
        )


class SplitEstimated(EstimateSplit):
    """gcsplit2 to gcsplit: so much, at this rate until then (0: no end); or refused, with the code and why."""

    to_amount: Annotated[str, Field(max_length=100)]
    rate_id: Annotated[str, Field(max_length=200)]
    valid_until: Millis
    refused_code: Annotated[str, Field(max_length=60)]
    refused_why: Annotated[str, Field(max_length=1000)]

    @property
    def quote(self) -> Quote:
        """What the exchange said."""
        until = from_millis(self.valid_until) if self.valid_until else None
        return Quote(to_amount=self.to_amount, rate_id=self.rate_id, valid_until=until)
