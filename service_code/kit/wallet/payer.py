"""What the wallet's parts share: node, signer, book, queue of confirmations, and getting a transaction to the chain.

What a payout of a currency is on chain stands in `coins`. CHAIN_ID, the limits, STUCK_AFTER_SECONDS and
CONFIRM_AFTER_SECONDS are config; HOST_WALLET_KMS_KEY, a key version in Cloud KMS, takes the place of the secret key
where it is set.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service_code.kit import logs
from service_code.kit.chain import Node, NodeAwayError, NodeRefusedError, Refusal
from service_code.kit.clock import moment
from service_code.kit.kms import KmsSigner
from service_code.kit.runtime import Kit
from service_code.kit.settings import SettingsError
from service_code.kit.signer import DigestSigner, Limits, LocalSigner, SigningRefusedError
from service_code.kit.wallet.book import Book, mark_broadcast, unsettled
from service_code.kit.wallet.coins import GAS_CURRENCY, MAINNET, Coins, coins_of, limit_of

_log = logs.get("payer")


class Payer:
    """The wallet and everything around it."""

    def __init__(self, kit: Kit, confirm_queue: str) -> None:
        settings = kit.settings
        self.kit = kit
        #: Where a signed payout waits for its receipt.
        self.confirm_queue = confirm_queue
        self.node = Node(settings.secret("ETHEREUM_RPC_URL").strip(), kit.outside)
        self.coins = coins_of(settings)
        self.signer = _signer(kit, self.coins)
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

    async def books(self) -> list[Book]:
        """Return the books that have anything to settle on this chain: the wallet's own, and earlier wallets'."""
        own = await self.book()
        async with self.kit.db.connection() as connection:
            return [own, *(book for book in await unsettled(connection, own.chain_id) if book.key != own.key)]

    async def book_of(self, address: str, chain_id: int) -> Book:
        """Return the book that holds a payout: settling by it needs no key, but the chain that the node is on."""
        own = await self.book()
        if chain_id != own.chain_id:
            raise NodeAwayError(f"it was signed for chain {chain_id}, the node is on {own.chain_id}", "WRONG_CHAIN")
        return Book(address, chain_id)

    async def broadcast(self, tx_hash: str, raw: bytes) -> bool:
        """Give a stored transaction to the node; False where it refused it.

        Whatever it answers, the chain decides what became of it.
        """
        try:
            await self.node.send(raw)
        except NodeAwayError as error:
            _log.warning("no answer to the broadcast", what="broadcast_unknown", tx_hash=tx_hash, why=str(error))
            return True
        except NodeRefusedError as error:
            if error.refusal is not Refusal.ALREADY_KNOWN:
                what = "broadcast_refused"
                _log.warning("the node refused the broadcast", what=what, tx_hash=tx_hash, why=error.refusal.value)
                return False
        async with self.kit.db.connection() as connection:
            await mark_broadcast(connection, tx_hash, moment(self.kit.clock))
        _log.info("broadcast", status="broadcast", what="broadcast", tx_hash=tx_hash)
        return True

    async def stop(self, book: Book, why: str, at: datetime) -> None:
        """Stop a wallet and alert: somebody else uses its key, or its book is wrong."""
        async with self.kit.db.transaction() as connection:
            stopped = await book.stop(connection, why, at)
        if stopped:
            _log.error("the wallet is stopped", what="wallet_stopped", status="stopped", why=why, wallet=book.address)


def _signer(kit: Kit, coins: Coins) -> DigestSigner:
    settings = kit.settings
    chain_id = settings.number("CHAIN_ID", MAINNET)
    limits = Limits(
        per_payment=limit_of(settings, "PAYOUT_LIMIT_ETH", "10", GAS_CURRENCY),
        per_day=limit_of(settings, "DAY_LIMIT_ETH", "500", GAS_CURRENCY),
        max_fee=settings.number("MAX_FEE_GWEI", 500) * 10**9,
        per_gas=limit_of(settings, "GAS_LIMIT_ETH", "0.05", GAS_CURRENCY),
        tokens=coins.limits,
    )
    key = settings.config("HOST_WALLET_KMS_KEY", "")
    if key:
        return KmsSigner(key, chain_id, limits, outside=kit.outside, access=kit.access)
    try:
        return LocalSigner(settings.secret("HOST_WALLET_PRIVATE_KEY"), chain_id, limits)
    except SigningRefusedError as error:
        raise SettingsError(f"secret HOST_WALLET_PRIVATE_KEY: {error.why}") from error
