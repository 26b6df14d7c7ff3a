"""Another variant of an open nonce: the same payout with higher fees, or a transfer to oneself that fills it.

A node replaces a waiting transaction by one with the same nonce and at least 10 % more of both fees. Whichever variant
is mined settles the nonce, so that an abandoned payout which is mined after all is a paid one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from service_code.kit import logs
from service_code.kit.chain import TRANSFER_GAS, Fees
from service_code.kit.clock import moment
from service_code.kit.signer import SignedTransfer, SigningRefusedError, Transfer
from service_code.kit.wallet.payer import Payer

#: What a replacement offers of the old fees, in per mille: above the 10 % more that nodes ask for.
RAISE = 1125

_log = logs.get("bump")


async def add_variant(
    payer: Payer, nonce: int, fees: Fees, cutoff: datetime | None = None, *, abandon: bool = False
) -> SignedTransfer | None:
    """Sign, store and broadcast a further variant.

    Nothing where the nonce is settled, the fee limit is reached, or the newest variant is younger than `cutoff`:
    another sweeper of this wallet was faster.
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
        fill = abandon or row["intent"] == "fill"
        transfer = _raised(payer, newest, fees, fill=fill)
        # The variants of a nonce exclude each other: the dearest counts, this one included.
        spent = await book.spent(connection, now, without=nonce)
        tokens = await book.spent_tokens(connection, row["currency"], now, without=nonce)
        try:
            signed = await payer.signer.sign(transfer, spent_today=spent, tokens_today=tokens)
        except SigningRefusedError as error:
            _log.error("no higher fee is allowed", what="bump_refused", status="stuck", nonce=nonce, code=error.code)
            return None
        await book.add_variant(connection, signed, "fill" if fill else "payout", now)
        if abandon:
            sql = "UPDATE wallet_nonces SET intent = 'fill' WHERE address = $1 AND chain_id = $2 AND nonce = $3"
            await connection.execute(sql, *book.key, nonce)
        sql = "UPDATE split_payout_hostpay SET tx_hash = $4 WHERE wallet = $1 AND chain_id = $2 AND nonce = $3"
        await connection.execute(sql, *book.key, nonce, signed.tx_hash)
    _log.warning("replaced by a higher fee", what="fee_bumped", unique_id=row["unique_id"], tx_hash=signed.tx_hash)
    await payer.broadcast(signed.tx_hash, signed.raw, nonce)
    return signed


def _raised(payer: Payer, newest: Any, fees: Fees, *, fill: bool) -> Transfer:
    max_fee = max(int(newest["max_fee"]) * RAISE // 1000 + 1, fees.max_fee)
    tip = max(int(newest["max_priority_fee"]) * RAISE // 1000 + 1, fees.max_priority_fee)
    return Transfer(
        chain_id=payer.signer.chain_id,
        nonce=newest["nonce"],
        to=payer.signer.address if fill else newest["recipient"],
        value=0 if fill else int(newest["value"]),
        gas_limit=TRANSFER_GAS if fill else newest["gas_limit"],
        max_fee=max_fee,
        max_priority_fee=min(tip, max_fee),
        data="0x" if fill else newest["data"],
    )
