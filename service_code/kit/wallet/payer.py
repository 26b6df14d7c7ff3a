"""What the wallet's parts share: node, signer, book, queue of confirmations, and getting a transaction to the chain.

USDT and other tokens will differ in one place, `transfer_of`: what a payout of a currency looks like as a transaction.
CHAIN_ID, the four limits, STUCK_AFTER_SECONDS and CONFIRM_AFTER_SECONDS are config; HOST_WALLET_KMS_KEY, a key version
in Cloud KMS, takes the place of the secret key where it is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service_code.kit import logs
from service_code.kit.chain import Node, NodeAwayError, NodeRefusedError, Refusal
from service_code.kit.clock import moment
from service_code.kit.kms import KmsSigner
from service_code.kit.money import Amount, MoneyError, read
from service_code.kit.runtime import Kit
from service_code.kit.settings import Settings, SettingsError
from service_code.kit.signer import DigestSigner, Limits, LocalSigner, SigningRefusedError
from service_code.kit.wallet.book import Book

#: The one network on which this wallet pays, and the currency in which it takes gas.
NETWORK = "eth"
GAS_CURRENCY = "eth"
#: Ethereum's main chain; every other stack says its own.
MAINNET = 1

_log = logs.get("payer")


@dataclass(frozen=True, kw_only=True, slots=True)
class OnChain:
    """A payout as a transaction: whom to call, with how much ether, and with what data."""

    to: str
    value: int
    data: str = "0x"


def transfer_of(amount: Amount, to: str) -> OnChain | None:
    """Return what a payout of this currency looks like on chain, or nothing for one that is not paid here."""
    return OnChain(to=to, value=amount.units) if amount.currency == GAS_CURRENCY else None


class Payer:
    """The wallet and everything around it."""

    def __init__(self, kit: Kit, confirm_queue: str) -> None:
        settings = kit.settings
        self.kit = kit
        #: Where a signed payout waits for its receipt.
        self.confirm_queue = confirm_queue
        self.node = Node(settings.secret("ETHEREUM_RPC_URL").strip(), kit.outside)
        self.signer = _signer(kit)
        self.stuck_after = timedelta(seconds=settings.number("STUCK_AFTER_SECONDS", 90))
        self.confirm_after = timedelta(seconds=settings.number("CONFIRM_AFTER_SECONDS", 1))
        self._ready: Book | None = None

    async def book(self) -> Book:
        """Return the wallet's book, once its address is known and the node is seen to be on the signer's chain."""
        if self._ready is None:
            if isinstance(self.signer, KmsSigner) and not self.signer.address:
                await self.signer.open()
            found = await self.node.chain_id()
            if found != self.signer.chain_id:
                _log.error("the node is on another chain", what="wrong_chain", status="error", chain=found)
                why = f"the node is on chain {found}, the signer on {self.signer.chain_id}"
                raise NodeAwayError(why, "WRONG_CHAIN")
            self._ready = Book(self.signer.address, self.signer.chain_id)
        return self._ready

    async def broadcast(self, tx_hash: str, raw: bytes, nonce: int) -> None:
        """Give a stored transaction to the node. Whatever it answers, the chain decides what became of it."""
        book = await self.book()
        try:
            await self.node.send(raw)
        except NodeAwayError as error:
            _log.warning("no answer to the broadcast", what="broadcast_unknown", tx_hash=tx_hash, why=str(error))
            return
        except NodeRefusedError as error:
            if error.refusal is not Refusal.ALREADY_KNOWN:
                what = "broadcast_refused"
                _log.warning("the node refused the broadcast", what=what, tx_hash=tx_hash, why=error.refusal.value)
                return
        async with self.kit.db.connection() as connection:
            await book.mark_broadcast(connection, tx_hash, nonce, moment(self.kit.clock))
        _log.info("broadcast", status="broadcast", what="broadcast", tx_hash=tx_hash)

    async def stop(self, why: str, at: datetime) -> None:
        """Stop the wallet and alert: somebody else uses its key, or its book is wrong."""
        book = await self.book()
        async with self.kit.db.transaction() as connection:
            stopped = await book.stop(connection, why, at)
        if stopped:
            _log.error("the wallet is stopped", what="wallet_stopped", status="stopped", why=why)


def _signer(kit: Kit) -> DigestSigner:
    settings = kit.settings
    chain_id = settings.number("CHAIN_ID", MAINNET)
    limits = Limits(
        per_payment=_ether(settings, "PAYOUT_LIMIT_ETH", "10"),
        per_day=_ether(settings, "DAY_LIMIT_ETH", "500"),
        max_fee=settings.number("MAX_FEE_GWEI", 500) * 10**9,
        per_gas=_ether(settings, "GAS_LIMIT_ETH", "0.05"),
    )
    key = settings.config("HOST_WALLET_KMS_KEY", "")
    if key:
        return KmsSigner(key, chain_id, limits, outside=kit.outside, access=kit.access)
    try:
        return LocalSigner(settings.secret("HOST_WALLET_PRIVATE_KEY"), chain_id, limits)
    except SigningRefusedError as error:
        raise SettingsError(f"secret HOST_WALLET_PRIVATE_KEY: {error.why}") from error


def _ether(settings: Settings, name: str, default: str) -> int:
    try:
        return read(settings.config(name, default), GAS_CURRENCY).units
    except MoneyError as error:
        raise SettingsError(f"{name} must be an amount of ether such as 0.5: {error}") from error
