"""Keeps secrets of the state unreadable: encrypted with a key that stands in a file of its own, readable by its owner.

The form of an encrypted value is the one of Pulumi's own state files: an object with the secret signature and a
ciphertext.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from .errors import StateDamagedError
from .values import SECRET_SIGNATURE, SIGNATURE_KEY, Secret, Unknown


class Vault:
    """Encrypts the secrets of one state directory."""

    def __init__(self, path: Path) -> None:
        self._fernet = Fernet(_key(path))
        self._path = path

    def seal(self, value: Any) -> Any:
        """``value`` with every secret as ciphertext, ready for JSON."""
        if isinstance(value, Secret):
            text = json.dumps(self.seal(value.value)).encode()
            return {SIGNATURE_KEY: SECRET_SIGNATURE, "ciphertext": self._fernet.encrypt(text).decode()}
        if isinstance(value, Unknown):
            return None
        if isinstance(value, dict):
            return {name: self.seal(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.seal(item) for item in value]
        return value

    def open(self, value: Any) -> Any:
        """The inverse of ``seal``."""
        if isinstance(value, dict) and value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            try:
                return Secret(self.open(json.loads(self._fernet.decrypt(value["ciphertext"].encode()))))
            except InvalidToken as error:
                raise StateDamagedError(f"The state was sealed with another key than {self._path}.") from error
        if isinstance(value, dict):
            return {name: self.open(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.open(item) for item in value]
        return value


def _key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_bytes()
    key = Fernet.generate_key()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
