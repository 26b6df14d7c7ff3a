"""Dead letters: what cannot be handled is stored, then alerted, then acknowledged. One letter a body and door.

Tokens are struck out of the stored body; everything else is kept as received, up to a length. What becomes of the
money of a dead payment is not decided here (gcsplit's sweeper does).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service_code.kit import strict_json
from service_code.kit.db import Connection

#: Characters of a body that are kept.
LONGEST = 64_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """What died where, and why."""

    service: str
    endpoint: str
    code: str
    why: str
    body: bytes
    unique_id: str | None = None
    generation: int = 1
    task: str | None = None
    attempt: int = 1


def fingerprint(service: str, endpoint: str, body: bytes) -> str:
    """Return what a body that died at a door is known by."""
    return hashlib.sha256(f"{service}\0{endpoint}\0".encode() + body).hexdigest()


async def store(connection: Connection, letter: Letter, at: datetime) -> bool:
    """Store a letter in the caller's transaction; False if this body died at this door before."""
    digest = fingerprint(letter.service, letter.endpoint, letter.body)
    status = await connection.execute(
        """
        INSERT INTO dead_letters
            (fingerprint, service, endpoint, unique_id, generation, code, why, body, task_name, attempt_number,
             created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (fingerprint) DO NOTHING
        """,
        *(digest, letter.service, letter.endpoint, letter.unique_id, letter.generation, letter.code, letter.why[:1000]),
        *(strike(letter.body), letter.task, letter.attempt, at),
    )
    return not status.endswith(" 0")


def strike(body: bytes) -> str:
    """Return the body as text without the values of tokens and without what a text column cannot hold."""
    try:
        text = json.dumps(_strike(strict_json.loads(body)), ensure_ascii=False) if len(body) <= LONGEST else ""
    except ValueError:
        text = ""
    text = text or body[:LONGEST].decode("utf-8", "replace")
    return text[:LONGEST].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _strike(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: f"[struck out, sha256 {hashlib.sha256(str(item).encode()).hexdigest()[:12]}]"
            if "token" in key.lower() and isinstance(item, str)
            else _strike(item)
            for key, item in value.items()
        }
    return [_strike(item) for item in value] if isinstance(value, list) else value
