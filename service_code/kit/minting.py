"""Minters: how what the outbox keeps of a payout becomes the message with its token (`tokens`, `staged`).

Of an edge whose token is minted at delivery (`token_policy`) the message carries identifiers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from service_code.kit.clock import from_millis
from service_code.kit.messages import Message
from service_code.kit.orders import HostPayOrder, PendingHostPay, payout_of
from service_code.kit.outbox import Minter
from service_code.kit.staged import (
    CheckStatus,
    ExecutePayout,
    PayoutMined,
    PendingCheck,
    PendingExecute,
    PendingMined,
    PendingTrigger,
    TriggerPayout,
)
from service_code.kit.tokens import Claim, ExecuteClaim, HostPayClaim, PaidClaim, Purpose, Tokens

P = TypeVar("P", bound=Message)
C = TypeVar("C", bound=Claim)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge(Generic[P, C]):
    """One kind of payout message: what is stored, what its token says, and what travels."""

    purpose: Purpose
    claim: type[C]
    pending: type[P]
    message: type[Message]
    fields: Callable[[P], dict[str, Any]]

    def minter(self, secret: str, *, at_delivery: bool = False) -> dict[str, Minter]:
        """The minter of its messages, by the stored message's name; `at_delivery`: the receiver mints."""
        if at_delivery:
            return {self.pending.__name__: self._refer}
        tokens = Tokens(secret, self.purpose, self.claim)

        def mint(stored: dict[str, Any], minted_at: datetime) -> Message:
            claim = self.claim(**self.fields(self.pending.read(stored)), issued_at=minted_at)
            return self.message.model_validate({"token": tokens.mint(claim)})

        return {self.pending.__name__: mint}

    def _refer(self, stored: dict[str, Any], _minted_at: datetime) -> Message:
        said = self.fields(self.pending.read(stored))
        return self.message.model_validate({name: said[name] for name in ("unique_id", "generation", "cn_api_id")})


def _tried(pending: PendingExecute) -> dict[str, Any]:
    first = pending.first_attempt_at
    return {
        **payout_of(pending),
        "attempt_count": pending.attempt_count,
        "first_attempt_at": None if first is None else from_millis(first),
        "last_error_code": pending.last_error_code,
    }


def _mined(pending: PendingMined) -> dict[str, Any]:
    return {name: getattr(pending, name) for name in PendingMined.model_fields}


#: Host payments of the single-stage payout, and of the staged one.
ORDER = Edge(
    purpose=Purpose.HOSTPAY_EXECUTION,
    claim=HostPayClaim,
    pending=PendingHostPay,
    message=HostPayOrder,
    fields=payout_of,
)
TRIGGER = Edge(
    purpose=Purpose.HOSTPAY_TRIGGER, claim=HostPayClaim, pending=PendingTrigger, message=TriggerPayout, fields=payout_of
)
#: Between the staged payout's services.
CHECK = Edge(
    purpose=Purpose.STATUS_CHECK, claim=HostPayClaim, pending=PendingCheck, message=CheckStatus, fields=payout_of
)
EXECUTE = Edge(
    purpose=Purpose.PAYMENT_EXECUTE, claim=ExecuteClaim, pending=PendingExecute, message=ExecutePayout, fields=_tried
)
MINED = Edge(purpose=Purpose.PAYMENT_RESULT, claim=PaidClaim, pending=PendingMined, message=PayoutMined, fields=_mined)
