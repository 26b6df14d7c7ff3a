"""What is owed to whom, recomputed from the notices: one claim a payment, or one a batch for all that it gathered.

Owns the arithmetic of shares. Which payments were recorded, split or gathered, and which batch one is in, the database
says; how much it is, and to whom, the notices say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.payments.judging.books import Books
from tests.payments.judging.facts import Facts, Notice, Terms

#: States of failed_transactions in which a death stands.
DEAD, RECOVERED = ("dead", "investigating"), ("recovered",)
#: States of payout_batches in which the batch's money is still its members'.
UNSENT = ("assembled", "refused")
#: And in which an operator has paid it by other means, without an order.
SETTLED = "settled"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one payout must be; `members` are the payments that it stands for."""

    id: str
    wallet: str
    currency: str
    units: int
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Shares:
    """A recorded payment, divided."""

    notice: Notice
    gathered: bool
    client: int
    fee: int

    @property
    def rounding(self) -> int:
        return self.notice.units - self.client - self.fee


@dataclass(kw_only=True)
class Owed:
    """The recorded payments by how far they have come, and the claims that follow."""

    recorded: dict[str, Shares] = field(default_factory=dict)
    split: set[str] = field(default_factory=set)
    gathered: set[str] = field(default_factory=set)
    batched: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    recovered: set[str] = field(default_factory=set)
    #: Gathered before the ledger was: their client's share is all that is known of them.
    opened: dict[str, tuple[str, int]] = field(default_factory=dict)


def shares_of(notice: Notice, terms: Terms, *, gathered: bool) -> Shares:
    """Divide a payment as its flow does."""
    percent = 100 - terms.flat_fee if gathered else terms.by_channel.get(notice.channel, terms.client_percent)
    client, fee = notice.units * percent // 100, notice.units * (100 - percent) // 100
    return Shares(notice=notice, gathered=gathered, client=client, fee=fee)


def judge_notices(facts: Facts, books: Books) -> tuple[list[str], dict[str, Shares]]:
    """Nothing acknowledged that is not recorded, nothing recorded that nobody announced; returns what is recorded."""
    found: list[str] = []
    rows = {row["unique_id"]: row for row in books.requests}
    letters = {row["unique_id"] for row in books.letters}
    told: dict[str, dict[tuple[str, str, int], Notice]] = defaultdict(dict)
    acknowledged = set()
    for notice in facts.notices:
        told[notice.unique_id].setdefault((notice.payment_id, notice.currency, notice.units), notice)
        if notice.acknowledged:
            acknowledged.add((notice.unique_id, notice.payment_id, notice.currency, notice.units))
    recorded: dict[str, Shares] = {}
    for unique_id, ones in told.items():
        row = rows.get(unique_id)
        if row is not None:
            key = (row["source_event"].removeprefix("ipn:"), row["currency"], int(row["amount"]))
            if key in ones:
                gathered = row["threshold_usdt"] is not None
                recorded[unique_id] = shares_of(ones[key], facts.terms, gathered=gathered)
            else:
                found.append(f"payment {unique_id} is recorded as {key}, which no notice says")
        for payment_id, currency, units in ones:
            said = (unique_id, payment_id, currency, units) in acknowledged
            known = unique_id in recorded and recorded[unique_id].notice.payment_id == payment_id
            if said and not (known and recorded[unique_id].notice.units == units) and unique_id not in letters:
                found.append(
                    f"payment {unique_id} was acknowledged and is neither recorded nor a dead letter: "
                    f"{units} {currency}, notice {payment_id}"
                )
    found += [
        f"payment {unique_id} is recorded and no notice of it was sent" for unique_id in rows.keys() - told.keys()
    ]
    return found, recorded


def owed(facts: Facts, books: Books, recorded: dict[str, Shares]) -> tuple[list[str], Owed]:
    """Work out every claim."""
    found: list[str] = []
    state = Owed(recorded=recorded)
    batches = {row["batch_id"]: row for row in books.batches}
    state.split = {row["unique_id"] for row in books.splits} - batches.keys()
    for row in books.gathered:
        unique_id = row["unique_id"]
        if unique_id not in recorded and f"opening:{unique_id}" in books.ledger:
            state.opened[unique_id] = (row["currency"], int(row["accumulated_eth"]))
        else:
            state.gathered.add(unique_id)
        if row["batch_id"] is not None:
            state.batched[unique_id] = row["batch_id"]
    for unique_id in sorted((state.split | state.gathered) - recorded.keys()):
        found.append(f"payment {unique_id} is split or gathered, and its notice is not recorded")
    for unique_id in sorted(state.split & state.gathered):
        found.append(f"payment {unique_id} is both split and gathered: its money is promised twice")
    state.split &= recorded.keys()
    state.gathered &= recorded.keys()
    for unique_id in state.split:
        one = recorded[unique_id]
        state.claims[unique_id] = Claim(
            id=unique_id,
            wallet=one.notice.wallet,
            currency=one.notice.currency,
            units=one.client,
            members=(unique_id,),
        )
    for row in books.gathered:
        held = state.opened.get(row["unique_id"]) or _gathered(recorded.get(row["unique_id"]))
        if held != (row["currency"], int(row["accumulated_eth"])):
            found.append(f"payment {row['unique_id']} holds {row['accumulated_eth']} {row['currency']}, not {held}")
    found += _batches(state, batches, books)
    for row in books.deaths:
        if row["status"] in DEAD + RECOVERED:
            (state.dead if row["status"] in DEAD else state.recovered).add(row["unique_id"])
            if row["unique_id"] not in recorded.keys() | batches.keys():
                found.append(f"payment {row['unique_id']} is recorded dead and no notice of it is recorded")
    standing = Counter(row["unique_id"] for row in books.deaths if row["status"] in DEAD + RECOVERED)
    found += [f"payment {unique_id} stands dead {n} times" for unique_id, n in standing.items() if n > 1]
    return found, state


def _gathered(one: Shares | None) -> tuple[str, int] | None:
    return (one.notice.currency, one.client) if one else None


def _batches(state: Owed, batches: dict[str, dict[str, str]], books: Books) -> list[str]:
    """Each batch is the sum of its members, and theirs is its client."""
    found: list[str] = []
    members: dict[str, list[str]] = defaultdict(list)
    for unique_id, batch_id in state.batched.items():
        members[batch_id].append(unique_id)
    rows = {row["unique_id"]: row for row in books.gathered}
    for batch_id, row in batches.items():
        inside = sorted(members.pop(batch_id, []))
        held = [state.opened.get(one) or _gathered(state.recorded.get(one)) for one in inside]
        units = sum(one[1] for one in held if one)
        if units != int(row["amount"]) or len(inside) != int(row["members"]):
            found.append(f"batch {batch_id} says {row['amount']} of {row['members']} payments, they sum to {units}")
        wallets = {
            state.recorded[one].notice.wallet if one in state.recorded else rows[one]["client_wallet"].lower()
            for one in inside
        }
        if wallets != {row["client_wallet"].lower()}:
            found.append(f"batch {batch_id} is {row['client_wallet']}'s, its payments are of {sorted(wallets)}")
        state.claims[batch_id] = Claim(
            id=batch_id,
            wallet=row["client_wallet"].lower(),
            currency=row["currency"],
            units=units,
            members=tuple(inside),
        )
    found += [f"batch {batch_id} has members and is not recorded" for batch_id in members]
    return found
