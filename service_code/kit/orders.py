"""The messages of the single-stage payout: which station tells which what (DESIGN section 3)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Protocol, Self

from pydantic import Field, model_validator

from service_code.kit.messages import AmountField, Message, UnreadableError
from service_code.kit.money import Amount

#: At most 16 printable ASCII characters, since every token layout has 16 bytes for it.
UniqueId = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[!-~]+\z")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Millis = Annotated[int, Field(ge=0, le=2**53)]


class SplitOrder(Message):
    """gcwebhook to gcsplit: this much came in for that client; split it."""

    unique_id: UniqueId
    channel_id: int
    amount: AmountField
    client_wallet: Text
    payout_currency: Text
    payout_network: Text
    received_at: Millis


class GrantAccess(Message):
    """gcwebhook to itself: let the buyer into the channel."""

    unique_id: UniqueId
    user_id: int
    channel_id: int
    subscription_days: int


class PendingHostPay(Message):
    """A host payment as the outbox keeps it: without its token, which is minted when the task is made."""

    unique_id: UniqueId
    generation: Annotated[int, Field(ge=1, le=65535)]
    cn_api_id: Text
    amount: AmountField
    network: Text
    payin_address: Text


class Payout(Protocol):
    """What every form of a payout that is asked for says of it: stored message, claim of a token."""

    @property
    def unique_id(self) -> str:
        """The payment."""
        ...

    @property
    def generation(self) -> int:
        """Which of its payouts."""
        ...

    @property
    def cn_api_id(self) -> str:
        """The exchange order that it pays."""
        ...

    @property
    def amount(self) -> Amount:
        """How much, of what."""
        ...

    @property
    def network(self) -> str:
        """The chain."""
        ...

    @property
    def payin_address(self) -> str:
        """Whither."""
        ...


def payout_of(source: Payout) -> dict[str, Any]:
    """Return these fields, to make another form of the same payout."""
    return {
        "unique_id": source.unique_id,
        "generation": source.generation,
        "cn_api_id": source.cn_api_id,
        "amount": source.amount,
        "network": source.network,
        "payin_address": source.payin_address,
    }


class HostPayOrder(Message):
    """gcsplit to gchostpay: pay what the token says, or (version 2) the payment of these identifiers, by its row.

    Version 0 is the documents' bare {token, _task_metadata}. A token travels as version 1, which every release reads.
    """

    VERSION: ClassVar[int] = 2

    token: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    unique_id: UniqueId | None = None
    generation: Annotated[int, Field(ge=1, le=65535)] | None = None
    cn_api_id: Text | None = None

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        named = [value is not None for value in (self.unique_id, self.generation, self.cn_api_id)]
        if any(named) == (self.token is not None) or any(named) != all(named):
            raise ValueError("a token, or unique_id, generation and cn_api_id")
        return self

    @classmethod
    def upgrade(cls, version: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Read version 1, and the documents' payload, whose metadata token and queue's headers make needless."""
        if version not in (0, 1):
            raise UnreadableError("UNKNOWN_VERSION", f"HostPayOrder version {version} is not known here")
        known = {"token", "_task_metadata"} if version == 0 else {"token"}
        if not set(fields) <= known:
            raise UnreadableError("BAD_FIELD", f"HostPayOrder version {version} has a token and no more")
        return {key: value for key, value in fields.items() if key == "token"}

    def wire(self) -> dict[str, Any]:
        """Return the JSON object that travels, in the oldest version that can say it."""
        version = self.VERSION if self.token is None else 1
        return {"message": "HostPayOrder", "version": version, **self.model_dump(mode="json", exclude_none=True)}


class ConfirmPayout(Message):
    """gchostpay to itself: settle this payout by the chain."""

    unique_id: UniqueId
    generation: Annotated[int, Field(ge=1, le=65535)]
