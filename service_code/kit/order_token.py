"""The success-url token: what the bot signs when it makes an invoice, and what comes back as the notice's order_id.

Layout v1, big-endian, URL-safe base64 without padding: version u8 = 1 | unique_id 16 ascii | user_id i64 |
channel_id i64 | issued_at u64 seconds | subscription_days u16 | amount u256 base units | currency | client wallet |
payout currency | payout network (a length byte each) | the first 16 bytes of HMAC-SHA256 of all before. Version 2 has
the id of its key (4) after the version, so that one key is tried and not all; the bot may write it, since this release
reads it. DECISIONS 1: it arrives in the processor's signed notice and by the success_url redirect, under one
idempotency key. What it says must fit the messages that carry it on (`orders`): an order that no station can read is
refused here, where it is kept.
"""

from __future__ import annotations

import hmac
import re
import struct
from dataclasses import dataclass
from datetime import datetime

from service_code.kit.binary import Reader, TokenError, armour, fixed, short, unarmour
from service_code.kit.clock import from_millis
from service_code.kit.keys import PLAIN, fits, labelled, read_keys, unlabelled, verifying
from service_code.kit.money import Amount, MoneyError

#: The grammar of the messages' UniqueId and Text.
_UNIQUE_ID = re.compile(r"[!-~]{1,16}")
_LONGEST_TEXT = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What was sold: to whom, for how much, and who is to be paid."""

    unique_id: str
    user_id: int
    channel_id: int
    issued_at: datetime
    subscription_days: int
    amount: Amount
    client_wallet: str
    payout_currency: str
    payout_network: str


def mint(order: Order, secret: str, *, version: int = PLAIN) -> str:
    """Sign an order, as the bot does."""
    body = b"".join(
        (
            bytes([PLAIN]),
            fixed(order.unique_id, 16),
            struct.pack(
                ">qqQH", order.user_id, order.channel_id, int(order.issued_at.timestamp()), order.subscription_days
            ),
            order.amount.units.to_bytes(32, "big"),
            short(order.amount.currency),
            short(order.client_wallet),
            short(order.payout_currency),
            short(order.payout_network),
        )
    )
    key = read_keys(secret)[0]
    body = labelled(body, key, version)
    return armour(body + _sign(key, body))


def read(token: str, secret: str) -> Order:
    """Verify an order token; how old it may be is the caller's to judge."""
    raw = unarmour(token)
    if len(raw) < 17:
        raise TokenError("TOKEN_INVALID", "the token is cut short")
    body, signature = raw[:-16], raw[-16:]
    plain, named = unlabelled(body)
    if verifying(read_keys(secret), fits(lambda key: _sign(key, body), signature), named=named) is None:
        raise TokenError("TOKEN_SIGNATURE", "the token's signature does not match")
    reader = Reader(plain)
    if reader.unpack(">B") != PLAIN:
        raise TokenError("TOKEN_VERSION", "the token's version is not known here")
    unique_id, user_id, channel_id = reader.fixed(16), reader.unpack(">q"), reader.unpack(">q")
    issued_at, days, units = reader.unpack(">Q"), reader.unpack(">H"), reader.u256()
    currency, wallet, payout_currency, payout_network = reader.short(), reader.short(), reader.short(), reader.short()
    reader.end()
    if not _UNIQUE_ID.fullmatch(unique_id):
        raise TokenError("TOKEN_INVALID", "the token's unique_id is not 1 to 16 printable characters without spaces")
    if not all(1 <= len(text) <= _LONGEST_TEXT for text in (wallet, payout_currency, payout_network)):
        raise TokenError("TOKEN_INVALID", f"the token has a field that is empty or longer than {_LONGEST_TEXT}")
    try:
        return Order(
            unique_id=unique_id,
            user_id=user_id,
            channel_id=channel_id,
            issued_at=from_millis(issued_at * 1000),
            subscription_days=days,
            amount=Amount(currency=currency, units=units),
            client_wallet=wallet,
            payout_currency=payout_currency,
            payout_network=payout_network,
        )
    except (MoneyError, OverflowError, ValueError, OSError) as error:
        raise TokenError("TOKEN_INVALID", str(error)) from error


def _sign(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:16]
