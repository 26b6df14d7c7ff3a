"""Signing a payout: the one place where a nonce is taken. Order of work: simulate; then one transaction under the
wallet's lock looks again, allocates the nonce, signs and stores; then broadcast.

The payout's own row is looked up first, by `standing`. A signed row is only ever brought to the chain (`go_on`): token
expiry, failure codes and attempt limits count before it exists, afterwards the chain alone decides, or a lost answer
would turn a paid payment into a dead one that a replay pays twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from eth_utils.address import is_address, is_checksum_address

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.chain import LEAST_TIP, TRANSFER_GAS, Quote
from service_code.kit.db import Connection
from service_code.kit.deaths import BURIED, SUPERSEDED, hold_payout
from service_code.kit.orders import ConfirmPayout
from service_code.kit.outcomes import Done, Next, Outcome
from service_code.kit.signer import SigningRefusedError, Transfer
from service_code.kit.tokens import HostPayClaim
from service_code.kit.wallet.book import Intent
from service_code.kit.wallet.coins import GAS_CURRENCY, NETWORK, TOKENS, OnChain, setting_of
from service_code.kit.wallet.failures import Failure, Fault, PayoutError
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.trial import try_transfer

#: A contract's gas may differ when it is mined: this much more is offered, in per cent. Unused gas is not taken.
GAS_MARGIN = 20
#: A token's at least so much more: a receiver whose coins have all gone meanwhile takes a storage slot, 17,100.
TOKEN_GAS_MARGIN = 25_000
#: Codes of a token that nothing can be paid in, until its issuer or an operator does something.
TOKEN_BLOCKED = frozenset(
    ("NO_TOKEN_CONTRACT", "TOKEN_DEPRECATED", "WALLET_BLACKLISTED", "TOKEN_PAUSED", "TOKEN_TAKES_FEE")
)
#: Raises PayoutError for a claim that may no longer be signed at this time.
Recheck = Callable[[HostPayClaim, datetime], None]

_log = logs.get("signing")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a payout: its row that has not failed, and whether this generation has failed before."""

    signed: Any
    failed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A payout as it would be signed. `since` is the lowest nonce that the quoted balances may still include.

    `first` is where a wallet begins that was never seen.
    """

    on_chain: OnChain
    quote: Quote
    since: int
    first: int

    @property
    def most(self) -> int:
        """What it may take from the wallet in ether, gas included."""
        return self.on_chain.value + self.quote.gas * self.quote.fees.max_fee


class Signing:
    """Signs payouts of one wallet."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._kit = payer.kit

    def payable(self, claim: HostPayClaim) -> None:
        """Refuse what this wallet cannot pay, whoever asks."""
        address, currency = claim.payin_address, claim.amount.currency
        if claim.network != NETWORK or currency not in (GAS_CURRENCY, *self._payer.coins.tokens):
            why = f"{currency} on {claim.network} is not paid by this wallet"
            if claim.network == NETWORK and currency in TOKENS:
                why += f": {setting_of(currency)} is not set"
            raise PayoutError("UNSUPPORTED_CURRENCY", why, Fault.FINAL)
        mixed = address[2:] not in (address[2:].lower(), address[2:].upper())
        if not is_address(address) or (mixed and not is_checksum_address(address)):
            raise PayoutError("INVALID_ADDRESS", "the exchange's address is none", Fault.FINAL)
        if claim.amount.units == 0:
            raise PayoutError("INVALID_AMOUNT", "there is nothing to pay", Fault.FINAL)

    async def standing(self, claim: HostPayClaim) -> Standing:
        """Look up the payout's rows."""
        rows = await self._kit.db.fetch(
            "SELECT * FROM split_payout_hostpay WHERE unique_id = $1 ORDER BY id DESC", claim.unique_id
        )
        signed = next((row for row in rows if row["status"] != "failed"), None)
        return Standing(signed, any(row["generation"] >= claim.generation for row in rows))

    async def go_on(self, row: Any) -> Outcome:
        """A signed row exists: see that the chain gets it, whatever the token's age."""
        if row["status"] == "completed":
            return Done("already_processed")
        sql = "SELECT raw FROM tx_variants WHERE tx_hash = $1"
        variant = await self._kit.db.row(sql, row["tx_hash"]) if row["status"] == "signed" else None
        send = partial(self._payer.broadcast, row["tx_hash"], variant["raw"]) if variant else None
        return self._confirm(row["unique_id"], row["generation"], send)

    async def sign(self, claim: HostPayClaim, call: Call, recheck: Recheck) -> Outcome:
        """Sign and broadcast. Raises PayoutError, NodeAwayError, NodeRefusedError or SigningRefusedError where not."""
        on_chain = self._payer.coins.transfer_of(claim.amount, claim.payin_address)
        if on_chain is None:
            raise PayoutError("UNSUPPORTED_CURRENCY", "this currency is not paid by this wallet", Fault.FINAL)
        book = await self._payer.book()
        # Before the balance: whatever is mined from here on may be missing in it.
        async with self._kit.db.connection() as connection:
            since = await book.first_open(connection)
            unused = await book.unused(connection)
        quote = await self._simulate(on_chain, book.address)
        if quote.fees.max_fee < quote.fees.base_fee + LEAST_TIP:
            # No block would take it: it would hold its nonce, and all after it, until gas is cheap.
            raise PayoutError("GAS_TOO_DEAR", "gas is dearer than what may be signed", Fault.ELSEWHERE)
        # Where the book knows of no nonce, it begins after what is mined: what others have waiting may never be.
        begins = unused and quote.pending_nonce > 0
        first = await self._payer.node.nonce(book.address) if begins else quote.pending_nonce
        plan = Plan(on_chain=on_chain, quote=quote, since=since, first=first)
        try:
            return await self._allocate(claim, plan, call, recheck)
        except SigningRefusedError as error:
            what = "signing_refused"
            _log.error("the signer refused", what=what, status="refused", code=error.code, why=error.why)
            raise

    async def _simulate(self, on_chain: OnChain, wallet: str) -> Quote:
        """Ask what the transfer takes; what may be signed caps the fees."""
        node = self._payer.node
        if on_chain.is_token:
            quote = await try_transfer(node, wallet, on_chain)
        else:
            quote = await node.quote(wallet, on_chain.to, on_chain.value)
        gas = quote.gas if quote.gas == TRANSFER_GAS else quote.gas * (100 + GAS_MARGIN) // 100
        if on_chain.is_token:
            gas = max(gas, quote.gas + TOKEN_GAS_MARGIN)
        limits, fees = self._payer.signer.limits, quote.fees
        limit = min(limits.max_fee, limits.per_gas // gas)
        capped = replace(fees, max_fee=min(fees.max_fee, limit), max_priority_fee=min(fees.max_priority_fee, limit))
        return replace(quote, gas=gas, fees=capped)

    async def _allocate(self, claim: HostPayClaim, plan: Plan, call: Call, recheck: Recheck) -> Outcome:
        """Under the payout's and the wallet's lock: check again, take the nonce, sign, store. Nothing is sent yet."""
        book, signer, on_chain, quote = await self._payer.book(), self._payer.signer, plan.on_chain, plan.quote
        connection = await call.begin()
        await hold_payout(connection, claim.unique_id)
        if await connection.fetchrow(BURIED, claim.unique_id, claim.generation) is not None:
            return Done("already_failed")
        if await connection.fetchrow(SUPERSEDED, claim.unique_id, claim.generation) is not None:
            return Done("superseded")
        wallet = await book.lock(connection, plan.first)
        again = "SELECT * FROM split_payout_hostpay WHERE unique_id = $1 AND (status <> 'failed' OR generation >= $2)"
        faster = await connection.fetchrow(again, claim.unique_id, claim.generation)
        if faster is not None:
            return await self.go_on(faster) if faster["status"] != "failed" else Done("already_failed")
        if wallet.stopped_why is not None:
            raise PayoutError("WALLET_STOPPED", "the wallet is stopped", Fault.ELSEWHERE)
        if quote.pending_nonce > wallet.next_nonce:
            await call.rollback()
            why = f"nonce {wallet.next_nonce} was used by somebody else"
            await self._payer.stop(book, why, call.now)
            raise PayoutError("WALLET_STOPPED", why, Fault.ELSEWHERE)
        recheck(claim, call.now)
        tokens_today = await self._covered(claim, plan, connection, call.now)
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
        spent_today = await book.spent(connection, call.now)
        signed = await signer.sign(transfer, spent_today=spent_today, tokens_today=tokens_today)
        now = call.now
        intent = Intent(unique_id=claim.unique_id, value=on_chain.value, currency=on_chain.currency)
        await book.allocate(connection, wallet.next_nonce, intent, now)
        await book.add_variant(connection, signed, "payout", now)
        await book.add_payout(connection, claim, signed, now)
        logs.about(tx_hash=signed.tx_hash)
        _log.info("signed", status="signed", what="signed", nonce=wallet.next_nonce)
        send = partial(self._payer.broadcast, signed.tx_hash, signed.raw)
        return self._confirm(claim.unique_id, claim.generation, send)

    async def _covered(self, claim: HostPayClaim, plan: Plan, connection: Connection, now: datetime) -> int:
        """See that both balances cover it; what was signed of its token in the last day."""
        book, currency = await self._payer.book(), plan.on_chain.currency
        ether = plan.quote.balance - await book.held(connection, plan.since)
        if not plan.on_chain.is_token:
            if ether < plan.most:
                raise PayoutError("INSUFFICIENT_FUNDS", "the wallet's balance is too low", Fault.OWN)
            return 0
        if plan.quote.tokens - await book.held_tokens(connection, currency, plan.since) < claim.amount.units:
            raise PayoutError("INSUFFICIENT_FUNDS", f"the wallet's balance of {currency} is too low", Fault.OWN)
        if ether < plan.most:
            raise PayoutError("INSUFFICIENT_GAS", "the wallet's ether is too low for the gas", Fault.OWN)
        return await book.spent_tokens(connection, currency, now)

    def _confirm(self, unique_id: str, generation: int, send: Any) -> Next:
        order = ConfirmPayout(unique_id=unique_id, generation=generation)
        return Next(self._payer.confirm_queue, order, self._payer.confirm_after, send, str(generation))


def alert(failure: Failure, currency: str) -> None:
    """Say what an operator must do something about, whoever meets it."""
    code = failure.code
    if code == "GAS_TOO_DEAR":
        why = "gas is dearer than MAX_FEE_GWEI or GAS_LIMIT_ETH allow"
        _log.error(why, what="gas_too_dear", status="retry", currency=GAS_CURRENCY)
    if code in TOKEN_BLOCKED:
        _log.error(failure.why, what="token_blocked", status="retry", code=code, currency=currency)
    if code in ("SIGNER_MISMATCH", "BAD_KEY", "WRONG_CHAIN", "UNKNOWN_CALL"):
        _log.error("the wallet's key or chain is the wrong one", what="signer_wrong", status="retry", code=code)
    if code in ("INSUFFICIENT_FUNDS", "INSUFFICIENT_GAS"):
        low = currency if code == "INSUFFICIENT_FUNDS" else GAS_CURRENCY
        _log.error("the wallet cannot pay this", what="wallet_low", status="retry", currency=low)
