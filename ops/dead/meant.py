"""What a decision that cannot be taken back is about: whose money, how much, and of how many payments.

A payment's id leads to its batch where one looks, replays or resends. What is settled is named by its own id: whoever
has paid one payment by hand would otherwise write off all that are paid with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ops.dead.things import BATCH, Thing
from ops.errors import BadUsage
from ops.output import counted

#: How a service shows a payment's way; None where it knows none.
Way = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, kw_only=True)
class Meant:
    """One thing, and what is paid by it."""

    thing: Thing
    #: Of how many payments it is the payout, and whether that is a batch's.
    payments: int
    batch: bool
    wallet: str

    @property
    def words(self) -> str:
        """`batch b1 (0.097 eth of 2 payments to 0x...)`."""
        of = f" of {counted(self.payments, 'payment')}" if self.batch else ""
        to = f" to {self.wallet}" if self.wallet else ""
        return f"{'batch' if self.batch else 'payment'} {self.thing.id} ({self.thing.amount}{of}{to})"

    def as_json(self) -> dict[str, Any]:
        """As --json shows it."""
        about = {"amount": self.thing.units, "currency": self.thing.currency}
        return {**about, "payments": self.payments, "client_wallet": self.wallet}


def meant(thing: Thing, way: Way) -> Meant:
    """What is known of it: its client is that of each of its payments."""
    members = thing.raw.get("payments") or []
    seen = way(thing.id) or {}
    batch = seen.get("batch") or {}
    is_batch = thing.kind == BATCH or batch.get("batch_id") == thing.id
    paid = (way(members[0]) or {}) if members else seen
    wallet = (paid.get("request") or {}).get("client_wallet") or (seen.get("split") or {}).get("payout_address") or ""
    number = thing.raw.get("members") or batch.get("members") or 1
    return Meant(thing=thing, payments=number if is_batch else 1, batch=is_batch, wallet=wallet)


def itself(typed: str, thing: Thing, way: Way, verb: str) -> Thing:
    """The thing; an id that only leads to it is refused."""
    if thing.id == typed:
        return thing
    raise BadUsage(
        f"{typed[:200]} is one payment of {meant(thing, way).words}: nothing was done",
        why=f"it is paid with the others of its batch, and `{verb}` changes the batch, whole",
        fix=f"./sluice dead {verb} {thing.id}, where all of it is meant",
    )
