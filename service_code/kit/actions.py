"""What operators did: one row an action, written in the transaction of what it changes, and never changed after that.

`account` is the caller that the door has verified, which is the operator's account; `said_by` is who says to be using
it, as the body of the request has it. Whoever may use the account is IAM's business, and its log names them
(docs/adr/dead-letters.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.messages import UnreadableError, parse_json
from service_code.kit.service import Incoming

Verb = Literal["replay", "archive", "restore", "mark", "settle", "resume", "abandon", "resend"]
Kind = Literal["payment", "event", "letter", "message", "wallet", "batch", "conversion"]

#: What every body may say: who is at the keyboard, and why it is done.
ALWAYS = ("by", "why")
#: Characters of one text.
LONGEST = 1000
#: Why what is said of a settlement is none.
NOT_HOW = "say how: tx_hash, 0x and 64 hex digits, or a note"
_HASH = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """What was done to what."""

    verb: Verb
    kind: Kind
    subject: str
    before: str | None = None
    after: str | None = None
    why: str | None = None


def texts(body: bytes, known: Iterable[str] = (), *, longest: int = LONGEST) -> Mapping[str, str]:
    """Read an operator's body: a JSON object of texts, `by`, `why` and those that the door knows."""
    allowed = {*ALWAYS, *known}
    wish = parse_json(body or b"{}")
    if not isinstance(wish, dict) or not set(wish) <= allowed or not all(isinstance(v, str) for v in wish.values()):
        raise UnreadableError("BAD_BODY", f"the body is a JSON object of {', '.join(sorted(allowed))}, all texts")
    if any(len(value) > longest or "\0" in value for value in wish.values()):
        raise UnreadableError("BAD_BODY", f"a text has at most {longest} characters")
    return wish


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """How something was paid by other means: in short for a posting, and all that was said of it, for the action."""

    reference: str
    told: str


def how_settled(wish: Mapping[str, str]) -> Settlement | None:
    """Return how something was paid by other means: by `tx_hash`, or as `note` says; None where neither is said."""
    tx_hash, note = wish.get("tx_hash"), wish.get("note")
    if not (tx_hash or note) or (tx_hash is not None and not _HASH.fullmatch(tx_hash)):
        return None
    said = [text for text in (tx_hash, note, wish.get("why")) if text]
    return Settlement(reference=said[0][:200], told=": ".join(said))


async def note(
    incoming: Incoming, call: Call, action: Action, *, by: str | None = None, connection: Connection | None = None
) -> None:
    """Write an action down in the request's transaction, or in that of `connection`; `by` is what the body says."""
    connection = connection or await call.begin()
    await connection.execute(
        """
        INSERT INTO operator_actions (at, service, account, said_by, verb, kind, subject, before, after, why)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        *(call.now, call.kit.settings.service, incoming.caller, by, action.verb, action.kind, action.subject),
        *(action.before, action.after, action.why),
    )
