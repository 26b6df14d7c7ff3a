"""Signing secrets: one key a line, the first signs and all verify, so that a key can be rotated without a gap.

Owns how such a secret is read, by which four bytes a token names its key, and the log line that says that another key
than the first was needed: `sluice secrets rotate` takes an old key away when no such line is young (ADR
secret-rotation). A line carries the key's id, never the key. What is signed is each token's own business.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from service_code.kit import logs

#: The versions of our own layouts that begin with their number: without, and with the id of the key after it.
PLAIN, NAMED = 1, 2
#: What the log line of a key that is not the first is called.
OLD_KEY = "token_old_key"
_ID = 4

_log = logs.get("keys")


def read_keys(secret: str) -> list[bytes]:
    """Read a signing secret: one key a line, the first signs, all verify, so that a key can be rotated."""
    return [line.strip().encode() for line in secret.splitlines() if line.strip()]


def key_id(key: bytes) -> bytes:
    """Return the four bytes by which a token names its key."""
    return hashlib.sha256(b"TPS_HOSTPAY key id\0" + key).digest()[:_ID]


def verifying(keys: Sequence[bytes], fits: Callable[[bytes], bool], *, named: bytes | None = None) -> bytes | None:
    """Return the key that verifies: the one that is named, else any that fits; tells of one that is not the first."""
    for key in keys:
        if (named is None or key_id(key) == named) and fits(key):
            used(keys, key)
            return key
    return None


def used(keys: Sequence[bytes], key: bytes) -> None:
    """Say that a key verified something, unless it is the one that signs."""
    if key != keys[0]:
        _log.info("verified by a key that does not sign", what=OLD_KEY, key_id=key_id(key).hex())


def labelled(body: bytes, key: bytes, version: int) -> bytes:
    """The body of a layout whose first byte is its version, with the key's id after it where the version has one."""
    return body if version == PLAIN else bytes([version]) + key_id(key) + body[1:]


def unlabelled(raw: bytes) -> tuple[bytes, bytes | None]:
    """The inverse: the body as a PLAIN one, and the id that names its key."""
    if raw[:1] == bytes([NAMED]) and len(raw) > _ID:
        return bytes([PLAIN]) + raw[1 + _ID :], raw[1 : 1 + _ID]
    return raw, None


def fits(signed: Callable[[bytes], bytes], signature: bytes) -> Callable[[bytes], bool]:
    """Whether a key makes this signature."""
    return lambda key: hmac.compare_digest(signed(key), signature)
