"""Keys and addresses, all derived from one seed of this sandbox.

Owns: the derivation. The same seed gives the same addresses, so a restart owns what it owned. Leaves alone:
the host wallet's key, which the services hold and the sandbox never sees.
"""

from __future__ import annotations

import secrets

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from sandbox.store import Store


class Keys:
    """Every key that the outside world owns here."""

    def __init__(self, store: Store) -> None:
        self._seed = bytes.fromhex(store.fact("seed") or store.remember("seed", secrets.token_hex(32)))

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only this sandbox knows."""
        return keccak(self._seed + purpose.encode())

    def account(self, purpose: str) -> LocalAccount:
        """A wallet."""
        account: LocalAccount = Account.from_key(self.secret(purpose))
        return account

    def address(self, purpose: str) -> str:
        """A valid address in checksum form; cheaper than a key where nobody will ever sign."""
        return to_checksum_address(self.secret(purpose)[-20:])
