"""The message by which the chain's webhook has the payer look at the chain."""

from __future__ import annotations

from typing import Literal

from service_code.kit.messages import Message
from service_code.kit.orders import UniqueId
from service_code.kit.staged import Generation


class ChainNews(Message):
    """gchostpay4 to gchostpay: something is said to have happened to this payout; see for yourself."""

    unique_id: UniqueId
    generation: Generation
    said: Literal["mined", "removed", "dropped"]
