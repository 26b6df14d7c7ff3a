"""Signing: the one place that holds the wallet's key, or reaches it, and that can say no.

A signer is pinned to one chain and refuses what exceeds its limits per payment, per day and per gas: whatever goes
wrong before it, no more than the day's limit leaves the wallet. It understands two things alone: ether that is sent
without data, and the transfer of a token that it has limits for; any other call is refused, since nobody could say
what it takes. Each signature is checked to be the wallet's own before
it is given out. LocalSigner holds a key from a secret; the key in Cloud KMS is `kms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from coincurve import PrivateKey, PublicKey
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from service_code.kit import erc20


class SigningRefusedError(RuntimeError):
    """The signer will not sign this."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLimits:
    """What may be signed of a token, in its base units."""

    currency: str
    per_payment: int
    per_day: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What may be signed, in wei."""

    per_payment: int
    per_day: int
    max_fee: int
    #: What the gas of one transaction may cost at most: gas limit times fee.
    per_gas: int
    #: By contract, in lower case: the tokens that may be transferred at all.
    tokens: Mapping[str, TokenLimits] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """A transaction to be signed: ether, or a token's transfer as `data`."""

    chain_id: int
    nonce: int
    to: str
    value: int
    gas_limit: int
    max_fee: int
    max_priority_fee: int
    data: str = "0x"

    @property
    def most(self) -> int:
        """Return what it may take from the wallet at most, in wei, gas included."""
        return self.value + self.gas_limit * self.max_fee

    @property
    def token_units(self) -> int:
        """Return what it transfers of a token."""
        called = erc20.read_transfer(self.data)
        return called[1] if called else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedTransfer:
    """A transaction as it is broadcast."""

    transfer: Transfer
    tx_hash: str
    raw: bytes


class Signer(Protocol):
    """Signs for one wallet on one chain within limits."""

    @property
    def address(self) -> str:
        """Return the wallet's address."""
        ...

    @property
    def chain_id(self) -> int:
        """Return the chain that the signer is pinned to."""
        ...

    @property
    def limits(self) -> Limits:
        """Return what may be signed."""
        ...

    async def sign(self, transfer: Transfer, *, spent_today: int, tokens_today: int = 0) -> SignedTransfer:
        """Sign, or raise SigningRefusedError.

        `spent_today` is what was signed in the last 24 hours, with its gas, in wei; `tokens_today` is what was signed
        then of the token that this transfers.
        """
        ...


class DigestSigner:
    """The part that all signers share: limits, encoding, and the check of the signature."""

    def __init__(self, address: str, chain_id: int, limits: Limits) -> None:
        self.address = address
        self.chain_id = chain_id
        self.limits = limits

    async def sign(self, transfer: Transfer, *, spent_today: int, tokens_today: int = 0) -> SignedTransfer:
        """Sign a transfer."""
        check(transfer, self.chain_id, self.limits, spent_today, tokens_today)
        fields = {
            "type": 2,
            "chainId": transfer.chain_id,
            "nonce": transfer.nonce,
            "to": to_checksum_address(transfer.to),
            "value": transfer.value,
            "gas": transfer.gas_limit,
            "maxFeePerGas": transfer.max_fee,
            "maxPriorityFeePerGas": transfer.max_priority_fee,
            "data": transfer.data,
        }
        digest = bytes(TypedTransaction.from_dict(fields).hash())
        signature = await self.sign_digest(digest)
        if recover(digest, signature) != self.address:
            raise SigningRefusedError("SIGNER_MISMATCH", "the signature is not the wallet's")
        r, s, parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
        raw = TypedTransaction.from_dict({**fields, "v": parity, "r": r, "s": s}).encode()
        return SignedTransfer(transfer=transfer, tx_hash="0x" + keccak(raw).hex(), raw=bytes(raw))

    async def sign_digest(self, digest: bytes) -> bytes:
        """Return r, s (low) and the parity of a digest's signature: 65 bytes."""
        raise NotImplementedError


class LocalSigner(DigestSigner):
    """Signs with a key that came as a secret."""

    def __init__(self, key: str, chain_id: int, limits: Limits) -> None:
        digits = key.strip().removeprefix("0x")
        try:
            self._key = PrivateKey(bytes.fromhex(digits if len(digits) == 64 else "none"))
        except ValueError as error:
            raise SigningRefusedError("BAD_KEY", "the private key must be 64 hex digits, with or without 0x") from error
        super().__init__(address_of(self._key.public_key), chain_id, limits)

    async def sign_digest(self, digest: bytes) -> bytes:
        """Sign in process."""
        return self._key.sign_recoverable(digest, hasher=None)


def check(transfer: Transfer, chain_id: int, limits: Limits, spent_today: int, tokens_today: int = 0) -> None:
    """Refuse what exceeds the limits or is for another chain."""
    if transfer.chain_id != chain_id:
        raise SigningRefusedError("WRONG_CHAIN", f"the signer signs for chain {chain_id} alone")
    if transfer.value > limits.per_payment:
        raise SigningRefusedError("OVER_PAYMENT_LIMIT", "the payout exceeds the limit for one payment")
    if transfer.max_fee > limits.max_fee or transfer.max_priority_fee > transfer.max_fee:
        raise SigningRefusedError("OVER_FEE_LIMIT", "the fee exceeds the limit for gas")
    if transfer.gas_limit * transfer.max_fee > limits.per_gas:
        raise SigningRefusedError("OVER_GAS_LIMIT", "the gas of this transaction may cost more than is allowed")
    if spent_today + transfer.most > limits.per_day:
        raise SigningRefusedError("OVER_DAY_LIMIT", "the payout exceeds what is left of the day's limit")
    if transfer.data != "0x":
        _check_call(transfer, limits, tokens_today)


def _check_call(transfer: Transfer, limits: Limits, spent_today: int) -> None:
    """Refuse every call but a token's transfer within its limits."""
    called, token = erc20.read_transfer(transfer.data), limits.tokens.get(transfer.to.lower())
    if called is None or token is None or transfer.value:
        raise SigningRefusedError("UNKNOWN_CALL", "only the transfer of a token with limits is signed, no other call")
    _, units = called
    if units > token.per_payment:
        why = f"the payout exceeds the limit for one payment in {token.currency}"
        raise SigningRefusedError("OVER_PAYMENT_LIMIT", why)
    if spent_today + units > token.per_day:
        why = f"the payout exceeds what is left of the day's limit in {token.currency}"
        raise SigningRefusedError("OVER_DAY_LIMIT", why)


def address_of(key: PublicKey) -> str:
    """Return the address of a public key."""
    return str(to_checksum_address(keccak(key.format(compressed=False)[1:])[-20:]))


def recover(digest: bytes, signature: bytes) -> str:
    """Return the address that made a signature."""
    return address_of(PublicKey.from_signature_and_message(signature, digest, hasher=None))
