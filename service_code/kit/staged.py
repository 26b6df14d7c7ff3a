"""The messages of the staged payout: a token each, as the documents' services send them (seeds/001 sections 6 and 8).

Version 0 is the documents' bare {"token": ...}. What the outbox keeps has no token in it: `Pending...` is what a row
says, and the service's minter makes of it what travels, when the task is made.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from service_code.kit.binary import TokenError
from service_code.kit.messages import Message, UnreadableError
from service_code.kit.orders import Millis, PendingHostPay, Text, UniqueId
from service_code.kit.outcomes import Dead, Outcome, Retry

Generation = Annotated[int, Field(ge=1, le=65535)]


def refused_token(error: TokenError) -> Outcome:
    """What a token that is refused ends with; of one from the future only a clock is wrong, and it has a day."""
    return Retry(error.why) if error.code == "TOKEN_FROM_FUTURE" else Dead(error.code, error.why)


class Tokened(Message):
    """A message whose token says everything."""

    VERSION: ClassVar[int] = 1

    token: Annotated[str, Field(min_length=1, max_length=2000)]

    @classmethod
    def upgrade(cls, version: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Read the documents' payload, whose metadata the token and the queue's headers make needless."""
        if version != 0:
            raise UnreadableError("UNKNOWN_VERSION", f"{cls.__name__} version {version} is not known here")
        return {key: value for key, value in fields.items() if key != "_task_metadata"}


class TriggerPayout(Tokened):
    """gcsplit to gchostpay1: see to this payout (TPS_HOSTPAY)."""


class CheckStatus(Tokened):
    """gchostpay1 to gchostpay2: ask the exchange (token 1)."""


class StatusSeen(Tokened):
    """gchostpay2 to gchostpay1: this is what the exchange said (token 2)."""


class ExecutePayout(Tokened):
    """gchostpay1 to gchostpay3: pay it (token 3)."""


class PayoutMined(Tokened):
    """gchostpay3 to gchostpay1: this is what the chain made of it (token 4)."""


class PayoutFailed(Message):
    """gchostpay3 to gchostpay1, and on to where a batch came from: it failed for good and is buried (seeds/004)."""

    unique_id: UniqueId
    generation: Generation
    cn_api_id: Text
    error_code: Annotated[str, Field(min_length=1, max_length=60)]
    error_message: Annotated[str, Field(max_length=1000)]
    attempt_count: Annotated[int, Field(ge=0, le=255)]
    failed_at: Millis


class PendingTrigger(PendingHostPay):
    """A TriggerPayout in the outbox."""


class PendingCheck(PendingHostPay):
    """A CheckStatus in the outbox."""


class PendingExecute(PendingHostPay):
    """An ExecutePayout in the outbox."""

    attempt_count: Annotated[int, Field(ge=0, le=255)] = 0
    first_attempt_at: Millis | None = None
    last_error_code: Annotated[str, Field(max_length=60)] = ""


class PendingMined(Message):
    """A PayoutMined in the outbox."""

    unique_id: UniqueId
    generation: Generation
    cn_api_id: Text
    tx_hash: Text
    tx_status: Text
    gas_used: Annotated[int, Field(ge=0, le=2**63)]
    block_number: Annotated[int, Field(ge=0, le=2**63)]
