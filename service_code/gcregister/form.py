"""What a client says of himself: read from JSON or a form, and every mistake told with its field and its remedy.

Pure. Leaves the invitation to `invitation`, and what becomes of a client to `clients`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl

from eth_utils.address import is_address, is_checksum_address

from service_code.kit import money
from service_code.kit.messages import AmountField, Message, UnreadableError, parse_json
from service_code.kit.money import Amount, MoneyError
from service_code.kit.orders import Millis, Text, UniqueId
from service_code.kit.threshold import UNIT

#: Bytes of a registration; an honest one has a few hundred.
LONGEST = 8_192
#: Every field that may be said; `invitation` is read by the door.
FIELDS = (
    "invitation", "channel_id", "client_wallet", "payout_currency", "payout_network", "payout_strategy",
    "payout_threshold_usdt",
)  # fmt: skip
#: Networks whose addresses are Ethereum's.
ETHEREUM_LIKE = frozenset(("eth", "bsc", "matic", "arbitrum", "op", "base", "avaxc"))

_FORM = "application/x-www-form-urlencoded"
_CODE = re.compile(r"[a-z0-9]{2,12}")
_CHANNEL = re.compile(r"-?[1-9]\d{0,18}")
_WALLET = re.compile(r"[A-Za-z0-9:_.-]{20,120}")


class RegisterClient(Message):
    """A registration as the queue brings it: all that is to be written."""

    unique_id: UniqueId
    channel_id: int
    client_wallet: Text
    payout_currency: Text
    payout_network: Text
    payout_strategy: Literal["instant", "threshold"]
    threshold: AmountField | None = None
    invited_at: Millis


class FormError(ValueError):
    """The registration says something that cannot be used; `problems` has all of it."""

    def __init__(self, *problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{problem['field']}: {problem['what']}" for problem in problems))
        self.problems = problems


def fields_of(body: bytes, content_type: str) -> dict[str, str]:
    """Read the fields of a body, whatever they say; numbers of a JSON object are taken as their text."""
    if len(body) > LONGEST:
        raise FormError(_problem("body", f"it has {len(body)} bytes", f"send at most {LONGEST}"))
    given = _form(body) if content_type.partition(";")[0].strip().lower() == _FORM else _json(body)
    strange = sorted(set(given) - set(FIELDS))
    if strange:
        known = ", ".join(FIELDS)
        raise FormError(*(_problem(name[:60], "there is no such field", f"the fields are {known}") for name in strange))
    return {name: text.strip() for name, text in given.items()}


def client_of(fields: Mapping[str, str], invited_at: int, key: bytes) -> RegisterClient:
    """Make the registration of the fields, or raise a FormError with every problem.

    `key` signed the invitation: whoever repeats himself has the same id, also while the secret's keys change.
    """
    problems = list(_problems(fields))
    if problems:
        raise FormError(*problems)
    threshold = fields.get("payout_threshold_usdt", "")
    said: dict[str, Any] = {
        "channel_id": int(fields["channel_id"]),
        "client_wallet": fields["client_wallet"],
        "payout_currency": fields["payout_currency"].lower(),
        "payout_network": fields["payout_network"].lower(),
        "payout_strategy": fields["payout_strategy"].lower(),
        "threshold": money.read(threshold, UNIT) if threshold else None,
        "invited_at": invited_at,
    }
    # Nobody who does not hold the key can guess it, and whoever repeats himself has the same.
    whole = "\0".join(str(said[name]) for name in sorted(said)).encode()
    unique_id = hmac.digest(key, b"gcregister registration\0" + whole, hashlib.sha256)[:8].hex()
    return RegisterClient(unique_id=unique_id, **said)


def _problems(fields: Mapping[str, str]) -> Iterator[dict[str, str]]:
    rules: dict[str, tuple[Callable[[str], bool], str, str]] = {
        "channel_id": (
            is_channel,
            "it is no channel's id",
            "write the id that Telegram shows, such as -1001234567890",
        ),
        "payout_currency": (_is_code, "it is no coin's code", "write a code such as usdt or eth"),
        "payout_network": (_is_code, "it is no network's code", "write a code such as eth or trx"),
        "payout_strategy": (
            lambda text: text.lower() in ("instant", "threshold"),
            "it is no strategy",
            "write instant, or threshold to be paid once payout_threshold_usdt is gathered",
        ),
    }
    for name, (fits, what, fix) in rules.items():
        if not fits(fields.get(name, "")):
            yield _problem(name, what if fields.get(name) else "it is missing", fix)
    yield from _wallet(fields.get("client_wallet", ""), fields.get("payout_network", "").lower())
    yield from _threshold(fields.get("payout_threshold_usdt", ""), fields.get("payout_strategy", "").lower())


def _wallet(wallet: str, network: str) -> Iterator[dict[str, str]]:
    if not wallet:
        yield _problem("client_wallet", "it is missing", "write the address that is to be paid")
    elif network in ETHEREUM_LIKE or wallet.startswith("0x"):
        mixed = wallet[2:] not in (wallet[2:].lower(), wallet[2:].upper())
        if not (wallet.startswith("0x") and is_address(wallet)) or (mixed and not is_checksum_address(wallet)):
            fix = "copy the whole address again: money that is sent to a wrong one does not come back"
            yield _problem("client_wallet", "it is no address, or its checksum does not match", fix)
        elif _is_code(network) and network not in ETHEREUM_LIKE:
            fix = "write an address of that network, or another payout_network"
            yield _problem("client_wallet", f"it is an address of Ethereum, not of {network[:20]}", fix)
    elif not _WALLET.fullmatch(wallet):
        fix = "write 20 to 120 letters, digits and : _ . -"
        yield _problem("client_wallet", "it does not have the form of an address", fix)


def _threshold(threshold: str, strategy: str) -> Iterator[dict[str, str]]:
    if strategy == "threshold":
        amount = _usdt(threshold)
        if amount is None or amount.units == 0:
            what = "it is no amount above 0" if threshold else "it is missing"
            yield _problem("payout_threshold_usdt", what, "write USDT with at most 6 decimals, such as 250")
    elif threshold and strategy == "instant":
        fix = "leave it out, or write payout_strategy threshold"
        yield _problem("payout_threshold_usdt", "who is paid instantly waits for nothing", fix)


def _usdt(text: str) -> Amount | None:
    try:
        return money.read(text, UNIT) if len(text) <= 30 else None
    except MoneyError:
        return None


def is_channel(text: str) -> bool:
    """Tell whether a text is the id of a channel."""
    return bool(_CHANNEL.fullmatch(text)) and text.isascii() and -(2**63) <= int(text) < 2**63


def _is_code(text: str) -> bool:
    return bool(_CODE.fullmatch(text.lower())) and text.isascii()


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=50)
    except ValueError as error:
        raise FormError(_problem("body", "it is no form", "send the fields url-encoded, in UTF-8")) from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise FormError(_problem("body", "a field is there twice", "send each field once"))
    return given


def _json(body: bytes) -> dict[str, str]:
    try:
        given = parse_json(body)
    except UnreadableError as error:
        raise FormError(_problem("body", error.why, f"send a JSON object, or a form as {_FORM}")) from error
    if not isinstance(given, dict):
        raise FormError(_problem("body", "it is no JSON object", "send the fields as one object"))
    wrong = [name for name, value in given.items() if not isinstance(value, str) and type(value) is not int]
    if wrong:
        raise FormError(
            *(_problem(str(name)[:60], "it is neither text nor a whole number", "write text") for name in wrong)
        )
    return {name: str(value) for name, value in given.items()}


def _problem(field: str, what: str, fix: str) -> dict[str, str]:
    return {"field": field, "what": what, "fix": fix}
