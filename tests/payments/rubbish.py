"""What no producer of ours makes: bodies, notices, messages and tokens, with the codes under which they are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.payments.forge import Notice, armour, flip, host_token, order_token, read_order, unarmour

TWO_MEGABYTES = b'{"padding": "' + b"x" * 2_000_000 + b'"}'
DEEP = b"[" * 90_000
DEEP_OBJECT = b'{"a":' * 15_000

#: No JSON, or none that anybody could mean.
NO_JSON = {
    "empty": b"",
    "half": b'{"a": ',
    "text": b"hello",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "NUL byte": b"\x00",
    "deep list": DEEP,
    "deep object": DEEP_OBJECT,
    "NaN": b'{"a": NaN}',
    "infinite": b'{"a": -Infinity}',
    "endless int": b'{"a": ' + b"9" * 50_000 + b"}",
}


def bad_notices(notice: Notice, key: str, host: str, moment: int) -> Iterator[tuple[dict[str, Any], int, str]]:
    """Changes of a notice that the processor signs all the same; `moment` is now, in milliseconds."""
    for amount in (
        *("-0.01", "0", None, "", "1e3", "Infinity", "0x10", "\u0660.\u0661", "0.01\u0000", "0.01\n", "0,01"),
        *("0.0000000000000000001", "9" * 80, {"eth": "0.01"}, ["0.01"], True),
    ):
        yield {"actually_paid": amount}, 422, "BAD_AMOUNT"
    for currency in ("doge", "usdt", None, 7):
        yield {"pay_currency": currency}, 422, "WRONG_CURRENCY"
    for payment_id in (None, "x" * 65, "a\u0000b"):
        yield {"payment_id": payment_id}, 400, "NO_PAYMENT_ID"
    order = read_order(notice.token)
    for token in (None, "nonsense!", "\u0000", "A" * 5000, notice.token + "=", notice.token[:10]):
        yield {"order_id": token}, 400, "TOKEN_INVALID"
    cut = armour(unarmour(notice.token)[:-3])
    for token in (cut, flip(notice.token), flip(notice.token, 45), order_token(order, "another key"), host):
        yield {"order_id": token}, 400, "TOKEN_SIGNATURE"
    yield {"order_id": order_token(order | {"version": 9}, key)}, 400, "TOKEN_VERSION"
    for change in ({"currency": "doge"}, {"client_wallet": ""}, {"issued_at": 2**64 - 1}):
        yield {"order_id": order_token(order | change, key)}, 400, "TOKEN_INVALID"
    for time in ("yesterday", 10**30, 1.5, {"$date": 1}):
        yield {"updated_at": time}, 400, "NO_TIME"
    for time in (moment - 25 * 3600 * 1000, moment + 3600 * 1000, -1):
        yield {"updated_at": time}, 400, "STALE"


def bad_host_tokens(key: str, at: float, order: str) -> Iterator[tuple[str, str]]:
    """Tokens that no host payment follows from; `order` is a good token of another kind."""
    good = host_token(key, issued_at=at)
    for text in ("AAAA", "!", "\u0661" * 8, "A\u0000", good + "=", good[:30]):
        yield text, "TOKEN_INVALID"
    for text in (armour(unarmour(good)[:-3]), flip(good), flip(good, 60), order):
        yield text, "TOKEN_SIGNATURE"
    yield host_token(key, issued_at=at, version=3), "TOKEN_SIGNATURE"
    for text in (flip(good, 3), host_token("k" * 64, issued_at=at)):
        yield text, "TOKEN_UNKNOWN_KEY"
    for purpose in (0, 2, 255):
        yield host_token(key, issued_at=at, purpose=purpose), "TOKEN_PURPOSE"
    for old in (at - 61, 0):
        yield host_token(key, issued_at=old), "TOKEN_EXPIRED"
    yield host_token(key, issued_at=at + 3600), "TOKEN_FROM_FUTURE"
    yield host_token(key, issued_at=2**63 / 1000), "TOKEN_INVALID"
    yield host_token(key, issued_at=at, unique_id="a\nb"), "TOKEN_INVALID"
    yield host_token(key, issued_at=at, currency="doge"), "TOKEN_AMOUNT"


def unordered_host_tokens(key: str, at: float) -> Iterator[str]:
    """Good tokens for an order that the exchange does not know, or not yet."""
    for units in (10**15, 2**256 - 1):
        yield host_token(key, issued_at=at, units=units)


#: Messages in which a token says everything.
TOKENED = ("HostPayOrder", "TriggerPayout", "CheckStatus", "StatusSeen", "ExecutePayout", "PayoutMined")

#: Who is paid by threshold, as a BatchDue names him.
CLIENT = {
    "client_id": -1001, "client_wallet": "0x" + "00" * 19 + "01", "payout_currency": "usdt", "payout_network": "eth",
    "currency": "eth",
}  # fmt: skip


SPLIT = {
    "unique_id": "RUBBISH000000001", "channel_id": -1001, "amount": {"currency": "eth", "units": "1000"},
    "client_wallet": "0x" + "00" * 19 + "01", "payout_currency": "usdt", "payout_network": "eth",
    "received_at": 1_790_000_000_000,
}  # fmt: skip
ASKED = {**SPLIT, "share": {"currency": "eth", "units": "950"}, "network": "eth", "way": "staged", "flow": "standard"}


def message(name: str, **changes: Any) -> bytes:
    """A message that its door would take, but for the changes."""
    known: dict[str, dict[str, Any]] = {
        "SplitOrder": SPLIT,
        "EstimateSplit": ASKED,
        "SplitEstimated": {
            **ASKED, "to_amount": "", "rate_id": "", "valid_until": 0, "refused_code": "RUBBISH", "refused_why": "no",
        },
        **{tokened: {"token": "AAAA"} for tokened in TOKENED},
        "GrantAccess": {"unique_id": "RUBBISH000000001", "user_id": 7, "channel_id": -1001, "subscription_days": 30},
        "ConfirmPayout": {"unique_id": "RUBBISH000000001", "generation": 1},
        "ChainNews": {"unique_id": "RUBBISH000000001", "generation": 1, "said": "mined"},
        "PayoutFailed": {
            "unique_id": "RUBBISH000000001", "generation": 1, "cn_api_id": "nobody", "error_code": "REVERTED",
            "error_message": "", "attempt_count": 3, "failed_at": 1_790_000_000_000,
        },
        "Accumulate": {
            "unique_id": "RUBBISH000000001", "channel_id": -1001, "amount": {"currency": "eth", "units": "1000"},
            "threshold": {"currency": "usdt", "units": "1000"}, "client_wallet": "0x" + "00" * 19 + "01",
            "payout_currency": "usdt", "payout_network": "eth", "received_at": 1_790_000_000_000,
        },
        "EstimateAndUpdate": {
            "unique_id": "RUBBISH000000001", "client_id": -1001, "accumulated": {"currency": "eth", "units": "1000"},
        },
        "RegisterClient": {
            "unique_id": "RUBBISH000000001", "channel_id": -1001, "client_wallet": "0x" + "00" * 19 + "01",
            "payout_currency": "usdt", "payout_network": "eth", "payout_strategy": "instant",
            "invited_at": 1_790_000_000_000,
        },
        "BatchDue": {"unique_id": "RUBBISH000000001", "client": CLIENT},
    }  # fmt: skip
    fields = {"message": name, "version": 1, **known[name], **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


def bad_messages(name: str) -> Iterator[tuple[bytes, str]]:
    """Bodies that are no message of this name, with the code under which each is kept."""
    for body in NO_JSON.values():
        yield body, "NOT_JSON"
    for body in (b"[]", b"7", b'"x"', b"null"):
        yield body, "NOT_A_MESSAGE"
    yield b'{"padding": "' + b"x" * 200_000 + b'"}', "TOO_LONG"
    for other in ("Unknown", 7, None, ["x"]):
        yield message(name, message=other), "WRONG_MESSAGE"
    for version in (-1, 10**40, "1", 1.0, True, None, [1]):
        yield message(name, version=version), "UNKNOWN_VERSION"
    yield message(name, extra="field"), "BAD_FIELD"
    for field, values in bad_values(json.loads(message(name))):
        for value in values:
            yield message(name, **{field: value}), "BAD_FIELD"


def bad_values(fields: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """For each field of a message what it cannot be; `...` leaves it out."""
    for field in sorted(set(fields) - {"message", "version"}):
        yield field, [..., None, {}, [1], 1.5, True]
    amounts = ["-1", "1.0", "1e3", "", "\u0661", "9" * 79, "9" * 78, 1000, 1.0, None, " 1", "0x1", "1_000"]
    coins = ["doge", "ETH", "", None, 7, ["eth"]]
    bad_amounts = [
        *({"currency": "eth", "units": units} for units in amounts),
        *({"currency": coin, "units": "1"} for coin in coins),
        {"currency": "eth", "units": "1", "scale": 2},
    ]
    times = [-1, 2**53 + 1, 10**30, "1790000000000"]
    wrong: list[Any] = [None, 1.5, {}]
    special: dict[str, list[Any]] = {
        "unique_id": ["", "x" * 17, "a b", "a\u0000b", "\u0661\u0662", "\u00e9", "a\n"],
        "amount": bad_amounts,
        "accumulated": bad_amounts,
        "threshold": bad_amounts,
        "received_at": times,
        "failed_at": times,
        "invited_at": times,
        "attempt_count": [-1, 256, "1"],
        "error_code": ["", "X" * 61],
        "error_message": ["x" * 1001, 7],
        "client": [
            *({**CLIENT, part: value} for part in sorted(CLIENT) for value in wrong),
            CLIENT | {"extra": 1},
            "eth",
        ],
        "generation": [0, -1, 65536, 10**30],
        "said": ["", "gone", "Mined"],
        "token": ["", "x" * 2001],
    }
    for field, values in special.items():
        if field in fields:
            yield field, values
