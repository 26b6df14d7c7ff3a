"""What happens to coins that reach the exchange.

Owns: seeing deposits of ether and of coins in blocks, judging them against the order, and sending payouts and
refunds from the exchange's own wallet, each signed and stored before it is broadcast, so that a restart sends the
same one again and never a second. Leaves alone: coins that came twice; they are recorded as a further deposit of the
order, and kept, so that a judge sees a payment that was paid twice; and coins that no order expects there.

A fixed-rate order takes exactly its amount and only before its time is over. What differs goes back to the
refund address, or stays as `failed`. A standard order takes any amount in range and pays out by the rate.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from sandbox.chain.chain import Chain
from sandbox.clock import Clock
from sandbox.erc20 import TRANSFERRED
from sandbox.errors import ChainError
from sandbox.exchange.book import Book
from sandbox.exchange.issuer import PRIORITY_FEE
from sandbox.exchange.rates import Pair
from sandbox.exchange.wallet import TRANSFER_GAS, Wallet
from sandbox.keys import Keys
from sandbox.store import Store
from sandbox.wire import from_units, to_units

log = logging.getLogger("sandbox.exchange")

#: Payouts that are not mined are sent again this often.
RESEND_BLOCKS = 20

_Row = dict[str, Any]


@dataclass(frozen=True)
class _Deposit:
    """Coins that came to an order's address."""

    hash: str
    to: str
    sender: str
    units: int
    block: int


class Settlement:
    """Watches blocks for the exchange."""

    def __init__(
        self, store: Store, *, book: Book, chain: Chain, clock: Clock, keys: Keys, wallet: Wallet, confirmations: int
    ) -> None:
        self._store = store
        self._book = book
        self._chain = chain
        self._clock = clock
        self._keys = keys
        self._wallet = wallet
        self._confirmations = confirmations
        self._lock = asyncio.Lock()

    async def catch_up(self) -> None:
        """Read the blocks made while nobody looked, and broadcast again what was signed."""
        latest = await self._chain.node.number("eth_blockNumber")
        seen = int(self._store.fact("exchange_block") or "0")
        for number in range(min(seen, latest) + 1, latest + 1):
            block = await self._chain.node.call("eth_getBlockByNumber", hex(number), False)
            await self.on_block(block)
        await self._send_again()

    async def on_block(self, block: _Row) -> None:
        """Take in deposits, move orders on."""
        number = int(block["number"], 16)
        async with self._lock:
            if block["transactions"]:
                await self._collect(number)
            self._finish(block)
            self._confirm(number)
            await self._broadcast()
            if number % RESEND_BLOCKS == 0:
                await self._send_again()
            self._store.remember("exchange_block", str(number))

    async def _collect(self, number: int) -> None:
        block = await self._chain.node.call("eth_getBlockByNumber", hex(number), True)
        for tx in block["transactions"]:
            if int(tx["value"], 16) and self._awaits(tx["to"], "eth"):
                receipt = await self._chain.node.call("eth_getTransactionReceipt", tx["hash"])
                if int(receipt["status"], 16) == 1:
                    units = int(tx["value"], 16)
                    self._deposit(_Deposit(tx["hash"], tx["to"], tx["from"], units, number), block)
        symbols = {address.lower(): symbol for symbol, address in self._wallet.tokens.items()}
        wanted = {"fromBlock": hex(number), "toBlock": hex(number), "address": list(symbols), "topics": [TRANSFERRED]}
        for event in await self._chain.node.call("eth_getLogs", wanted):
            sender, to = (to_checksum_address("0x" + topic[-40:]) for topic in event["topics"][1:3])
            if self._awaits(to, symbols[event["address"].lower()]):
                units = int(event["data"], 16)
                self._deposit(_Deposit(event["transactionHash"], to, sender, units, number), block)

    def _awaits(self, address: str | None, currency: str) -> bool:
        """Whether an order expects this currency at an address; of another one the exchange takes no note."""
        order_id = self._book.by_payin_address(address)
        order = self._store.row("SELECT from_currency FROM exchanges WHERE id = ?", order_id) if order_id else None
        if order is not None and order["from_currency"] != currency:
            log.warning("order %s: %s came, %s is expected", order_id, currency, order["from_currency"])
        return order is not None and order["from_currency"] == currency

    def _deposit(self, deposit: _Deposit, block: _Row) -> None:
        order_id, at = self._book.by_payin_address(deposit.to), int(block["timestamp"], 16)
        assert order_id is not None
        position = len(self._book.deposits(order_id)) + 1
        values = (deposit.hash, order_id, deposit.sender, str(deposit.units), deposit.block, float(at), position)
        if not self._store.run("INSERT OR IGNORE INTO deposits VALUES (?, ?, ?, ?, ?, ?, ?)", *values):
            return
        if position > 1:
            log.warning("order %s: a second deposit %s; it is kept and not exchanged", order_id, deposit.hash)
            return
        late = self._store.row("SELECT valid_until FROM exchanges WHERE id = ?", order_id)
        assert late is not None
        over = late["valid_until"] is not None and at > late["valid_until"]
        self._store.run(
            "UPDATE exchanges SET status = ?, amount_from = ?, deposit_received_at = ?, updated_at = ? WHERE id = ?",
            "expired" if over else "confirming", str(deposit.units), float(at), float(at), order_id,
        )  # fmt: skip
        if over:
            order = self._store.row("SELECT * FROM exchanges WHERE id = ?", order_id)
            assert order is not None
            self._return_coins(order, otherwise="expired")

    def _confirm(self, number: int) -> None:
        rows = self._store.rows(
            "SELECT e.* FROM exchanges e JOIN deposits d ON d.exchange_id = e.id AND d.position = 1"
            " WHERE e.status = 'confirming' AND d.block <= ?",
            number - self._confirmations + 1,
        )
        for row in rows:
            self._exchange(row)

    def _exchange(self, row: _Row) -> None:
        """The coins are certain: decide what they are worth."""
        paid, expected = int(row["amount_from"]), int(row["expected_from"])
        pair = Pair(from_currency=row["from_currency"], from_network=row["from_network"],
                    to_currency=row["to_currency"], to_network=row["to_network"])  # fmt: skip
        amount = from_units(paid, row["from_currency"])
        if row["flow"] == "fixed-rate":
            good, units = paid == expected, int(row["expected_to"])
        else:
            good = pair.minimum() <= amount <= pair.maximum()
            units = to_units(pair.paid_out(amount, "standard"), row["to_currency"]) or 0
        if not good:
            log.warning("order %s: %s base units came, %s were expected", row["id"], paid, expected)
            self._return_coins(row, otherwise="failed")
            return
        on_chain = self._wallet.pays(row["to_currency"], row["to_network"])
        self._owe(
            row, "payout", currency=row["to_currency"], address=row["payout_address"], units=units,
            status="sending", on_chain=on_chain,
        )  # fmt: skip

    def _return_coins(self, row: _Row, *, otherwise: str) -> None:
        """Send the deposit back less the network's fee, or leave the order where a human must look."""
        fee = TRANSFER_GAS * PRIORITY_FEE if row["from_currency"] == "eth" else 0
        back = int(row["amount_from"]) - fee
        if row["refund_address"] is None or back <= 0:
            self._move(row["id"], otherwise)
            return
        self._owe(
            row, "refund", currency=row["from_currency"], address=row["refund_address"], units=back,
            status="failed", on_chain=True,
        )  # fmt: skip

    def _owe(
        self, row: _Row, kind: str, *, currency: str, address: str, units: int, status: str, on_chain: bool
    ) -> None:
        now = self._clock.now()
        made_up = None if on_chain else "0x" + self._keys.secret(f"payout {row['id']}").hex()
        self._store.run_many(
            ("INSERT OR IGNORE INTO payouts (exchange_id, kind, currency, address, units, hash, at)"
             " VALUES (?, ?, ?, ?, ?, ?, ?)", (row["id"], kind, currency, address, str(units), made_up, now)),
            ("UPDATE exchanges SET status = ?, amount_to = ?, updated_at = ? WHERE id = ?",
             (status if on_chain else "finished", str(units) if kind == "payout" else None, now, row["id"])),
        )  # fmt: skip

    def _move(self, order_id: str, status: str) -> None:
        self._store.run(
            "UPDATE exchanges SET status = ?, updated_at = ? WHERE id = ?", status, self._clock.now(), order_id
        )

    async def _broadcast(self) -> None:
        """Sign what has no signature yet, store it, then send it."""
        for row in self._store.rows("SELECT * FROM payouts WHERE hash IS NULL ORDER BY at"):
            top = self._store.row("SELECT max(nonce) AS n FROM payouts")
            last = top["n"] if top else None
            nonce = self._wallet.first_nonce if last is None else int(last) + 1
            signed = self._wallet.transfer(nonce, row["currency"], row["address"], int(row["units"]))
            raw = signed.raw_transaction.to_0x_hex()
            self._store.run(
                "UPDATE payouts SET nonce = ?, raw = ?, hash = ? WHERE exchange_id = ?",
                nonce, raw, signed.hash.to_0x_hex(), row["exchange_id"],
            )  # fmt: skip
            await self._send(row["exchange_id"], raw)

    async def _send_again(self) -> None:
        """Send what was signed and is not mined: a start, or a node that was away, may have left it."""
        for row in self._store.rows("SELECT * FROM payouts WHERE raw IS NOT NULL AND block IS NULL ORDER BY nonce"):
            await self._send(row["exchange_id"], row["raw"])

    async def _send(self, order_id: str, raw: str) -> None:
        try:
            await self._chain.send(raw)
        except (ChainError, OSError) as error:  # known already, or the node is away: it is sent again later
            log.debug("payout of order %s: %s", order_id, error)

    def _finish(self, block: _Row) -> None:
        """Orders whose payout is in this block are done."""
        number = int(block["number"], 16)
        for tx_hash in block["transactions"]:
            row = self._store.row("SELECT * FROM payouts WHERE hash = ? AND block IS NULL", tx_hash)
            if row is None:
                continue
            self._store.run("UPDATE payouts SET block = ? WHERE exchange_id = ?", number, row["exchange_id"])
            self._move(row["exchange_id"], "finished" if row["kind"] == "payout" else "refunded")
            log.info("order %s: %s is mined in block %s", row["exchange_id"], row["kind"], number)
