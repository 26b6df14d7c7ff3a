"""What PayNow told us, as the message between the two services: ids and quantities, nothing of a person."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from service_code.kit.messages import Message

#: The topic that carries events.
TOPIC = "paynow-events"


class Line(BaseModel):
    """So many pieces of one product."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    product: str = Field(min_length=1)
    quantity: int = Field(ge=1)


class PayNowEvent(Message):
    """An order that was completed, or a period of a subscription that was paid; `unique_id` is PayNow's event id."""

    unique_id: str = Field(min_length=1)
    kind: str
    customer_id: str
    user_id: str | None
    subject: str
    period: str | None
    #: What is credited.
    lines: tuple[Line, ...] = Field(strict=False)

    @property
    def credit_key(self) -> str:
        """What is credited once, however many events say it: an order, or one period of a subscription."""
        return f"order:{self.subject}" if self.period is None else f"subscription:{self.subject}:{self.period}"
