"""Alchemy's webhook as it arrives, checked and read. Pure: the time is an argument, and there is no database.

The signature is HMAC-SHA256 in hex over the raw body, in the header X-Alchemy-Signature, with the key of the webhook;
each webhook has its own, and while one is replaced two are good. Shapes: Alchemy's pages on Address Activity, Mined
Transaction, Dropped Transaction and Custom (GRAPHQL) webhooks. Of the body only hashes, blocks and what became of a
transaction are read on: amounts and addresses are the chain's to say.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from service_code.kit import strict_json
from service_code.kit.keys import fits, verifying
from service_code.kit.settings import SettingsError

SIGNATURE_HEADER = "x-alchemy-signature"
#: The fewest characters of a signing key.
SHORTEST_KEY = 16
#: News older than this are no news: the payer's sweeper has looked hundreds of times since. Alchemy repeats an event
#: that nobody took for hours, with the time at which it was made.
OLDEST = timedelta(hours=24)
NEWEST = timedelta(minutes=5)
#: Objects and lists of one body: a block with hundreds of transfers.
MOST_OPENINGS = 8_000
LONGEST_ID = 128

Said = Literal["mined", "removed", "dropped"]

_HASH = re.compile(r"0x[0-9a-f]{64}")
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,15}")


class NoticeError(ValueError):
    """The notice is refused."""

    def __init__(self, status: int, code: str, reason: str, *, genuine: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        #: Signed by Alchemy, and we cannot use it: somebody must look.
        self.genuine = genuine


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the event says of one transaction."""

    tx_hash: str
    said: Said
    block_number: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A verified event. `sightings` is nothing for a kind that is not about transactions."""

    event_id: str
    webhook_id: str
    kind: str
    created_at: datetime
    sightings: tuple[Sighting, ...] | None
    #: What Alchemy has to say to its customer in the place of news, such as a limit that is used up.
    complaint: str


def keys_of(secret: str) -> list[bytes]:
    """Return the signing keys, one a line; the newest is best first."""
    keys = [line.strip() for line in secret.splitlines() if line.strip()]
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise SettingsError(f"secret ALCHEMY_WEBHOOK_SIGNING_KEY: each line must have {SHORTEST_KEY} characters")
    return [key.encode() for key in keys]


def verify(body: bytes, signature: str, keys: Sequence[bytes]) -> None:
    """Check the signature, or refuse."""
    if not signature:
        raise NoticeError(401, "NO_SIGNATURE", f"the header {SIGNATURE_HEADER} is missing")
    given = signature.strip().lower().encode("ascii", "replace")
    if verifying(keys, fits(lambda key: hmac.digest(key, body, "sha256").hex().encode(), given)) is None:
        raise NoticeError(401, "BAD_SIGNATURE", "the signature does not match")


def timely(at: datetime, now: datetime) -> bool:
    """Whether an event is of this day."""
    return now - OLDEST <= at <= now + NEWEST


def read(body: bytes) -> Event:
    """Read a verified notice."""
    try:
        fields = strict_json.loads(body, most=MOST_OPENINGS)
    except ValueError as error:
        raise NoticeError(400, "NOT_JSON", "the body is not JSON", genuine=True) from error
    if not isinstance(fields, dict):
        raise NoticeError(400, "NOT_A_NOTICE", "the body is not a JSON object", genuine=True)
    kind, event = _id(fields, "type"), fields.get("event")
    if not isinstance(event, dict):
        raise _invalid("event is no object")
    reader, complaint = READERS.get(kind), event.get("error")
    news = reader is not None and complaint is None
    return Event(
        event_id=_id(fields, "id"),
        webhook_id=_id(fields, "webhookId"),
        kind=kind,
        created_at=_moment(fields.get("createdAt")),
        sightings=tuple(dict.fromkeys(reader(event))) if reader is not None and news else None,
        complaint=str(complaint or "")[:300],
    )


def _activity(event: dict[str, Any]) -> Iterator[Sighting]:
    """ADDRESS_ACTIVITY: transfers to and from the wallet; a log that is removed was in a block that is gone."""
    for one in _objects(event, "activity"):
        log = one.get("log")
        removed = one.get("removed") is True or (isinstance(log, dict) and log.get("removed") is True)
        yield Sighting(_hash(one), "removed" if removed else "mined", _block(one.get("blockNum")))


def _mined(event: dict[str, Any]) -> Iterator[Sighting]:
    """MINED_TRANSACTION."""
    one = _object(event, "transaction")
    yield Sighting(_hash(one), "removed" if one.get("removed") is True else "mined", _block(one.get("blockNumber")))


def _dropped(event: dict[str, Any]) -> Iterator[Sighting]:
    """DROPPED_TRANSACTION: it is in no block, and waits no more."""
    yield Sighting(_hash(_object(event, "transaction")), "dropped", None)


def _graphql(event: dict[str, Any]) -> Iterator[Sighting]:
    """GRAPHQL: a block as our own query asks for it; transactions, and those of logs, count wherever it has them."""
    block = _object(_object(event, "data"), "block")
    number = _block(block.get("number"))
    for one in _objects(block, "transactions") if "transactions" in block else ():
        yield Sighting(_hash(one), "mined", number)
    for log in _objects(block, "logs") if "logs" in block else ():
        removed = log.get("removed") is True
        yield Sighting(_hash(_object(log, "transaction")), "removed" if removed else "mined", number)


READERS: dict[str, Callable[[dict[str, Any]], Iterator[Sighting]]] = {
    "ADDRESS_ACTIVITY": _activity,
    "MINED_TRANSACTION": _mined,
    "DROPPED_TRANSACTION": _dropped,
    "GRAPHQL": _graphql,
}


def _invalid(reason: str) -> NoticeError:
    return NoticeError(422, "INVALID_DATA", reason, genuine=True)


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    found = fields.get(name)
    if not isinstance(found, dict):
        raise _invalid(f"{name} is no object")
    return found


def _objects(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = fields.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _invalid(f"{name} is no list of objects")
    return found


def _id(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID or not (value.isascii() and value.isprintable()):
        raise _invalid(f"{name} is no id")
    return value


def _hash(fields: dict[str, Any]) -> str:
    value = fields.get("hash")
    found = value.lower() if isinstance(value, str) else ""
    if not _HASH.fullmatch(found):
        raise _invalid("hash is no hash of a transaction")
    return found


def _block(value: Any) -> int | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value, 16)
    return value if type(value) is int and 0 <= value < 2**60 else None


def _moment(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise _invalid("createdAt is no time") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
