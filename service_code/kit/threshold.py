"""The threshold payout's messages, and what its services share: a client's lock and its unpaid total (seeds/002).

A client is a channel with its wallet and payout currency; what is held for one is gathered in one currency. Whoever
converts a payment, or assembles a batch, holds the client's lock meanwhile, so that two conversions at once see each
other and the total is never missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service_code.kit.db import Connection
from service_code.kit.messages import AmountField, Message
from service_code.kit.orders import Millis, Text, UniqueId

#: What conversions are counted in.
UNIT, UNIT_NETWORK = "usdt", "eth"
#: The network on which what is gathered is held.
HELD_NETWORK = "eth"
CONVERT_QUEUE = "gcsplit2-queue"
BATCH_QUEUE = "gcbatchprocessor-queue"


class Client(Message):
    """Who is paid, and out of which currency: what makes two payments payable together."""

    client_id: int
    client_wallet: Text
    payout_currency: Text
    payout_network: Text
    currency: Text

    @property
    def key(self) -> tuple[int, str, str, str, str]:
        """The columns' values, in the order of COLUMNS."""
        return (self.client_id, self.client_wallet, self.payout_currency, self.payout_network, self.currency)

    @property
    def pair(self) -> str:
        """What an exchange changes into what, as PAIR has it."""
        return f"{self.currency} {self.payout_currency} {self.payout_network}"


class Accumulate(Message):
    """gcwebhook to gcaccumulator: this much came in for a client who is paid by threshold."""

    unique_id: UniqueId
    channel_id: int
    amount: AmountField
    threshold: AmountField
    client_wallet: Text
    payout_currency: Text
    payout_network: Text
    received_at: Millis


class EstimateAndUpdate(Message):
    """gcaccumulator to gcsplit2: find out what this is worth."""

    unique_id: UniqueId
    client_id: int
    accumulated: AmountField


class BatchDue(Message):
    """gcsplit2 and gcmicrobatchprocessor to gcbatchprocessor: with this payment the client's threshold is met."""

    unique_id: UniqueId
    client: Client


#: What names a client in payout_accumulation and payout_batches.
COLUMNS = "client_id, client_wallet, payout_currency, payout_network, currency"
#: A client's rows: $1 to $5 are the key.
OF_CLIENT = " AND ".join(f"{name} = ${number}" for number, name in enumerate(COLUMNS.split(", "), start=1))
#: Whether rows a and b are of the same client.
SAME = " AND ".join(f"a.{name} = b.{name}" for name in COLUMNS.split(", "))
#: How many payments a batch that is not sent holds up: those of its client that are in none.
BEHIND = f"""
    SELECT count(*) FROM payout_batches AS b JOIN payout_accumulation AS a ON {SAME}
    WHERE b.batch_id = {{batch_id}} AND a.batch_id IS NULL
"""
#: What an exchange changes into what.
PAIR = "currency || ' ' || payout_currency || ' ' || payout_network"
#: Rows that may be paid out.
PAYABLE = "conversion_status = 'completed' AND batch_id IS NULL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpaid:
    """What waits for a client's threshold, converted."""

    held: int
    usdt: int
    members: int
    threshold: int | None

    @property
    def due(self) -> bool:
        """Whether the threshold is met."""
        return self.threshold is not None and self.usdt >= self.threshold


def client_of(row: Any) -> Client:
    """Read the client of a row."""
    return Client(**{name: row[name] for name in COLUMNS.split(", ")})


async def hold_client(connection: Connection, client: Client) -> None:
    """Keep everybody else from converting or batching this client's payments until the transaction ends."""
    name = "client:" + "|".join(str(part) for part in client.key)
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", name)


async def unpaid(connection: Connection, client: Client) -> Unpaid:
    """Sum what is converted and in no batch; the newest payment's threshold counts."""
    row = await connection.fetchrow(
        f"""
        SELECT coalesce(sum(accumulated_eth), 0) AS held, coalesce(sum(accumulated_usdt), 0) AS usdt,
            count(*) AS members,
            (array_agg(threshold_usdt ORDER BY created_at DESC, unique_id DESC)
                FILTER (WHERE threshold_usdt IS NOT NULL))[1] AS threshold
        FROM payout_accumulation WHERE {OF_CLIENT} AND {PAYABLE}
        """,
        *client.key,
    )
    assert row is not None
    return Unpaid(held=int(row["held"]), usdt=int(row["usdt"]), members=row["members"], threshold=row["threshold"])
