"""Another variant of an open nonce: the same payout with higher fees, or a transfer to oneself that fills it.

A node replaces a waiting transaction by one with the same nonce and at least 10 % more of both fees. Whichever variant
is mined settles the nonce, so that an abandoned payout which is mined after all is a paid one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service_code.kit import logs
from service_code.kit.chain import TRANSFER_GAS, Fees
from service_code.kit.clock import moment
from service_code.kit.db import Connection
from service_code.kit.signer import SignedTransfer, SigningRefusedError, Transfer
from service_code.kit.wallet.coins import GAS_CURRENCY
from service_code.kit.wallet.payer import Payer

#: What a replacement offers of the old fees, in per mille: above the 10 % more that nodes ask for.
RAISE = 1125

_log = logs.get("bump")


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What is asked for gas, and the wallet's balance, which may still include every nonce from `since` on."""

    fees: Fees
    balance: int
    since: int


async def means_of(payer: Payer) -> Means:
    """Ask the node for them."""
    book = await payer.book()
    # Before the balance: what is mined from here on may be missing in it.
    async with payer.kit.db.connection() as connection:
        since = await book.first_open(connection)
    fees, balance = await asyncio.gather(payer.node.fees(), payer.node.balance(book.address))
    return Means(fees=fees, balance=balance, since=since)


async def add_variant(
    payer: Payer,
    nonce: int,
    means: Means,
    cutoff: datetime | None = None,
    *,
    abandoned: Callable[[Connection], Awaitable[None]] | None = None,
) -> SignedTransfer | None:
    """Sign, store and broadcast a further variant.

    Nothing where the nonce is settled, the fee limit is reached, the balance does not cover it, or the newest variant
    is younger than `cutoff`: another sweeper of this wallet was faster. With `abandoned` the variant is a transfer to
    oneself, and that is told in its transaction.
    """
    book, now = await payer.book(), moment(payer.kit.clock)
    async with payer.kit.db.transaction() as connection:
        wallet = await book.lock(connection, nonce)
        row = await book.lock_nonce(connection, nonce)
        if row is None or row["state"] != "open" or wallet.stopped_why is not None:
            return None
        newest = max(await book.variants(connection, nonce), key=lambda variant: int(variant["max_fee"]))
        if cutoff is not None and newest["signed_at"] >= cutoff:
            return None
        fill = abandoned is not None or row["intent"] == "fill"
        available = means.balance - await book.held(connection, means.since) + int(row["most"])
        transfer = _raised(payer, newest, means.fees, available, fill=fill)
        if transfer.most > available:
            # A node would refuse it, and the ones before it are then the newest that may be mined.
            what = "wallet_low"
            _log.error(
                "the wallet cannot pay a higher fee", what=what, status="stuck", nonce=nonce, currency=GAS_CURRENCY
            )
            return None
        # The variants of a nonce exclude each other: the dearest counts, this one included.
        spent = await book.spent(connection, now, without=nonce)
        tokens = await book.spent_tokens(connection, row["currency"], now, without=nonce)
        try:
            signed = await payer.signer.sign(transfer, spent_today=spent, tokens_today=tokens)
        except SigningRefusedError as error:
            _log.error("no higher fee is allowed", what="bump_refused", status="stuck", nonce=nonce, code=error.code)
            return None
        await book.add_variant(connection, signed, "fill" if fill else "payout", now)
        if abandoned is not None:
            sql = "UPDATE wallet_nonces SET intent = 'fill' WHERE address = $1 AND chain_id = $2 AND nonce = $3"
            await connection.execute(sql, *book.key, nonce)
            await abandoned(connection)
        sql = "UPDATE split_payout_hostpay SET tx_hash = $4 WHERE wallet = $1 AND chain_id = $2 AND nonce = $3"
        await connection.execute(sql, *book.key, nonce, signed.tx_hash)
    _log.warning("replaced by a higher fee", what="fee_bumped", unique_id=row["unique_id"], tx_hash=signed.tx_hash)
    await payer.broadcast(signed.tx_hash, signed.raw)
    return signed


def _raised(payer: Payer, newest: Any, fees: Fees, available: int, *, fill: bool) -> Transfer:
    limits, gas = payer.signer.limits, TRANSFER_GAS if fill else newest["gas_limit"]
    value = 0 if fill else int(newest["value"])
    # What is asked counts as far as it may be signed and is there; what a node takes at least is others' to refuse.
    asked = min(fees.max_fee, limits.max_fee, limits.per_gas // gas, (available - value) // gas)
    max_fee = max(int(newest["max_fee"]) * RAISE // 1000 + 1, asked)
    tip = max(int(newest["max_priority_fee"]) * RAISE // 1000 + 1, fees.max_priority_fee)
    return Transfer(
        chain_id=payer.signer.chain_id,
        nonce=newest["nonce"],
        to=payer.signer.address if fill else newest["recipient"],
        value=value,
        gas_limit=gas,
        max_fee=max_fee,
        max_priority_fee=min(tip, max_fee),
        data="0x" if fill else newest["data"],
    )
