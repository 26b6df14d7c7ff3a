"""Paying: the one handler that signs. Its own row is looked up first.

Token expiry and the exchange's status count only before a signed row exists; afterwards the chain alone decides, or a
lost answer would turn a paid payment into a dead one that a replay pays twice. Order of work: simulate; then one
transaction under the wallet's lock allocates the nonce, signs and stores; then broadcast.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from eth_utils.address import is_address, is_checksum_address

from service_code.gchostpay.payer import CONFIRM_QUEUE, GAS_CURRENCY, NETWORK, OnChain, Payer, transfer_of
from service_code.kit import logs
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.chain import LEAST_TIP, TRANSFER_GAS, NodeAwayError, NodeRefusedError, Quote, Refusal
from service_code.kit.changenow import OVER, WAITING, ExchangeAwayError, ExchangeRefusedError, same
from service_code.kit.orders import ConfirmPayout, HostPayOrder
from service_code.kit.outcomes import Dead, Done, Next, Outcome, Retry
from service_code.kit.signer import SigningRefusedError, Transfer
from service_code.kit.tokens import HostPayClaim

#: A contract's gas may differ when it is mined: this much more is offered, in per cent. Unused gas is not taken.
GAS_MARGIN = 20

_log = logs.get("pay")


class Paying:
    """Handles POST /hostpay_webhook."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._kit = payer.kit

    async def pay(self, order: HostPayOrder, call: Call) -> Outcome:
        """Pay what the token says, once."""
        try:
            claim = self._payer.tokens.read(order.token)
            call.about(claim.unique_id, claim.generation)
            age = claim.age(call.now)
        except TokenError as error:
            return Dead(error.code, error.why)
        logs.about(cn_api_id=claim.cn_api_id, token_age=round(age.total_seconds(), 3))
        rows = await self._kit.db.fetch(
            "SELECT * FROM split_payout_hostpay WHERE unique_id = $1 ORDER BY id DESC", claim.unique_id
        )
        signed = next((row for row in rows if row["status"] != "failed"), None)
        if signed is not None:
            return await self._go_on(signed)
        if any(row["generation"] >= claim.generation for row in rows):
            return Done("already_failed")
        refused = self._expired(claim, call.now) or unpayable(claim) or await self._not_waiting(claim)
        return refused or await self._sign(claim, call)

    async def _go_on(self, row: Any) -> Outcome:
        """A signed row exists: see that the chain gets it, whatever the token's age."""
        if row["status"] == "completed":
            return Done("already_processed")
        confirm = ConfirmPayout(unique_id=row["unique_id"], generation=row["generation"])
        sql = "SELECT raw FROM tx_variants WHERE tx_hash = $1"
        variant = await self._kit.db.row(sql, row["tx_hash"]) if row["status"] == "signed" else None
        send = partial(self._payer.broadcast, row["tx_hash"], variant["raw"], row["nonce"]) if variant else None
        return Next(CONFIRM_QUEUE, confirm, self._payer.confirm_after, send, str(row["generation"]))

    def _expired(self, claim: HostPayClaim, now: datetime) -> Dead | None:
        if claim.age(now) <= self._payer.tokens.window:
            return None
        return Dead("TOKEN_EXPIRED", f"the token is older than {self._payer.tokens.window.total_seconds():.0f} s")

    async def _not_waiting(self, claim: HostPayClaim) -> Outcome | None:
        """Refuse what the exchange does not wait for."""
        try:
            state = await self._payer.exchange.state(claim.cn_api_id)
        except ExchangeAwayError as error:
            return Retry(str(error))
        except ExchangeRefusedError as error:
            return Dead("EXCHANGE_UNKNOWN", error.why)
        if state.status == "new":
            return Retry("the exchange order is not ready")
        if state.status != WAITING:
            known = state.status in OVER
            code = f"EXCHANGE_{state.status.upper()}" if known else "EXCHANGE_NOT_WAITING"
            return Dead(code, f"the exchange order is {state.status[:20]}: it takes no payment")
        if state.payin_address.lower() != claim.payin_address.lower() or not same(claim.amount, state.expected):
            return Dead("EXCHANGE_MISMATCH", "the exchange expects another amount or at another address")
        return None

    async def _sign(self, claim: HostPayClaim, call: Call) -> Outcome:
        on_chain = transfer_of(claim.amount, claim.payin_address)
        if on_chain is None:
            return Dead("UNSUPPORTED_CURRENCY", "this currency is not paid by this wallet")
        try:
            book = await self._payer.book()
            # Before the balance: whatever is mined from here on may be missing in it.
            async with self._kit.db.connection() as connection:
                since = await book.first_open(connection)
            quote = await self._simulate(on_chain, book.address)
            return self._too_dear(quote) or await self._allocate(claim, on_chain, quote, since, call)
        except NodeAwayError as error:
            return Retry(str(error))
        except NodeRefusedError as error:
            if error.refusal is Refusal.REVERTED:
                return Dead("SIMULATION_REVERTED", "the transfer would be reverted")
            return self._low() if error.refusal is Refusal.INSUFFICIENT_FUNDS else Retry(str(error))
        except SigningRefusedError as error:
            _log.error("the signer refused", what="signing_refused", status="refused", code=error.code, why=error.why)
            # The day's limit is a matter of time, of an operator or of an attack: the payment itself is sound.
            return Retry(error.why) if error.code == "OVER_DAY_LIMIT" else Dead(error.code, error.why)

    async def _simulate(self, on_chain: OnChain, wallet: str) -> Quote:
        """Ask what the transfer takes; what may be signed caps the fees."""
        quote = await self._payer.node.quote(wallet, on_chain.to, on_chain.value, on_chain.data)
        limit, fees = self._payer.signer.limits.max_fee, quote.fees
        capped = replace(fees, max_fee=min(fees.max_fee, limit), max_priority_fee=min(fees.max_priority_fee, limit))
        gas = quote.gas if quote.gas == TRANSFER_GAS else quote.gas * (100 + GAS_MARGIN) // 100
        return replace(quote, gas=gas, fees=capped)

    async def _allocate(self, claim: HostPayClaim, on_chain: OnChain, quote: Quote, since: int, call: Call) -> Outcome:
        """Under the wallet's lock: check again, take the nonce, sign, store. Nothing is sent before the commit."""
        book, signer = await self._payer.book(), self._payer.signer
        connection = await call.begin()
        wallet = await book.lock(connection, quote.pending_nonce)
        again = "SELECT * FROM split_payout_hostpay WHERE unique_id = $1 AND (status <> 'failed' OR generation >= $2)"
        faster = await connection.fetchrow(again, claim.unique_id, claim.generation)
        if faster is not None:
            return await self._go_on(faster) if faster["status"] != "failed" else Done("already_failed")
        if wallet.stopped_why is not None:
            return Retry("the wallet is stopped")
        if quote.pending_nonce > wallet.next_nonce:
            await call.rollback()
            why = f"nonce {wallet.next_nonce} was used by somebody else"
            await self._payer.stop(why, call.now)
            return Retry(why)
        expired = self._expired(claim, call.now)
        if expired:
            return expired
        if quote.balance - await book.held(connection, since) < on_chain.value + quote.gas * quote.fees.max_fee:
            return self._low()
        transfer = Transfer(
            chain_id=signer.chain_id,
            nonce=wallet.next_nonce,
            to=on_chain.to,
            value=on_chain.value,
            gas_limit=quote.gas,
            max_fee=quote.fees.max_fee,
            max_priority_fee=quote.fees.max_priority_fee,
            data=on_chain.data,
        )
        signed = await signer.sign(transfer, spent_today=await book.spent(connection, call.now))
        now = call.now
        await book.allocate(connection, wallet.next_nonce, claim.unique_id, on_chain.value, now)
        await book.add_variant(connection, signed, "payout", now)
        await book.add_payout(connection, claim, signed, now)
        logs.about(tx_hash=signed.tx_hash)
        _log.info("signed", status="signed", what="signed", nonce=wallet.next_nonce)
        return Next(
            CONFIRM_QUEUE,
            ConfirmPayout(unique_id=claim.unique_id, generation=claim.generation),
            after=self._payer.confirm_after,
            then=partial(self._payer.broadcast, signed.tx_hash, signed.raw, wallet.next_nonce),
            key=str(claim.generation),
        )

    def _too_dear(self, quote: Quote) -> Retry | None:
        """Refuse to sign what no block would take: it would hold its nonce, and all after it, until gas is cheap."""
        if quote.fees.max_fee >= quote.fees.base_fee + LEAST_TIP:
            return None
        _log.error("gas is dearer than MAX_FEE_GWEI", what="gas_too_dear", status="retry", currency=GAS_CURRENCY)
        return Retry("gas is dearer than what may be signed")

    def _low(self) -> Retry:
        _log.error("the wallet cannot pay this", what="wallet_low", status="retry", currency=GAS_CURRENCY)
        return Retry("the wallet's balance is too low")


def unpayable(claim: HostPayClaim) -> Dead | None:
    """Refuse what this wallet cannot pay, whoever asks."""
    address = claim.payin_address
    if claim.network != NETWORK or transfer_of(claim.amount, address) is None:
        return Dead("UNSUPPORTED_CURRENCY", f"{claim.amount.currency} on {claim.network} is not paid by this wallet")
    mixed = address[2:] not in (address[2:].lower(), address[2:].upper())
    if not is_address(address) or (mixed and not is_checksum_address(address)):
        return Dead("INVALID_ADDRESS", "the exchange's address is none")
    if claim.amount.units == 0:
        return Dead("INVALID_AMOUNT", "there is nothing to pay")
    return None
