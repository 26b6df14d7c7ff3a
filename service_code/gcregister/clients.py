"""The clients: who is registered for a channel, and what may change that.

One invitation says one thing: whoever holds it may repeat it as often as he likes, and change nothing by it once it was
used. What is registered is changed by a newer invitation alone. Decided under a lock of the channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service_code.gcregister.form import RegisterClient
from service_code.kit.clock import from_millis
from service_code.kit.db import Connection

#: What of a client is compared, beside the threshold.
SAID = ("client_wallet", "payout_currency", "payout_network", "payout_strategy")
REFUSED = "CHANNEL_REGISTERED"
WHY = "the channel is registered with other data; ask the operator for a new invitation to change it"


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a registration: registered, updated, already_registered or refused."""

    status: str

    @property
    def refused(self) -> bool:
        """Whether the client stays as he was."""
        return self.status == "refused"


async def submit(connection: Connection, wish: RegisterClient, mode: str, at: datetime) -> str | None:
    """Note a registration; None if it is new, or the status of the one that is there."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", f"channel {wish.channel_id}")
    row = await connection.fetchrow("SELECT status FROM registrations WHERE registration_id = $1", wish.unique_id)
    if row is not None:
        return str(row["status"])
    await connection.execute(
        """
        INSERT INTO registrations
            (registration_id, channel_id, client_wallet, payout_currency, payout_network, payout_strategy,
             threshold_usdt, invited_at, mode, status, received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'submitted', $10)
        """,
        *(wish.unique_id, wish.channel_id, wish.client_wallet, wish.payout_currency, wish.payout_network),
        *(wish.payout_strategy, _units(wish), from_millis(wish.invited_at), mode, at),
    )
    return None


async def settle(connection: Connection, wish: RegisterClient, at: datetime) -> Ending | None:
    """Register what was submitted, or refuse it, once; None if nobody submitted it."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", f"channel {wish.channel_id}")
    submitted = await connection.fetchrow("SELECT status FROM registrations WHERE registration_id = $1", wish.unique_id)
    if submitted is None:
        return None
    client = await connection.fetchrow("SELECT * FROM main_clients_database WHERE channel_id = $1", wish.channel_id)
    if submitted["status"] != "submitted":
        return Ending("already_registered" if _same(client, wish) else "refused")
    ending = _decide(client, wish)
    if ending.status in ("registered", "updated"):
        await _write(connection, wish, at)
    await connection.execute(
        """
        UPDATE registrations SET status = $2, code = $3, why = $4, closed_at = $5 WHERE registration_id = $1
        """,
        *(wish.unique_id, "refused" if ending.refused else "registered"),
        *((REFUSED, WHY) if ending.refused else (None, None)),
        at,
    )
    return ending


def _decide(client: Any, wish: RegisterClient) -> Ending:
    if client is None:
        return Ending("registered")
    if from_millis(wish.invited_at) > client["invited_at"]:
        return Ending("updated")
    return Ending("already_registered" if _same(client, wish) else "refused")


def _same(client: Any, wish: RegisterClient) -> bool:
    said = {"threshold_usdt": _units(wish), **{name: getattr(wish, name) for name in SAID}}
    return client is not None and all(client[name] == value for name, value in said.items())


async def _write(connection: Connection, wish: RegisterClient, at: datetime) -> None:
    await connection.execute(
        """
        INSERT INTO main_clients_database
            (channel_id, client_wallet, payout_currency, payout_network, payout_strategy, threshold_usdt, invited_at,
             registration_id, registered_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        ON CONFLICT (channel_id) DO UPDATE SET client_wallet = EXCLUDED.client_wallet,
            payout_currency = EXCLUDED.payout_currency, payout_network = EXCLUDED.payout_network,
            payout_strategy = EXCLUDED.payout_strategy, threshold_usdt = EXCLUDED.threshold_usdt,
            invited_at = EXCLUDED.invited_at, registration_id = EXCLUDED.registration_id,
            updated_at = EXCLUDED.updated_at
        """,
        *(wish.channel_id, wish.client_wallet, wish.payout_currency, wish.payout_network, wish.payout_strategy),
        *(_units(wish), from_millis(wish.invited_at), wish.unique_id, at),
    )


def _units(wish: RegisterClient) -> int | None:
    return wish.threshold.units if wish.threshold else None
