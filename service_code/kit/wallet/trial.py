"""Trying a token's transfer before it is signed: what it takes, or which of the many ways of failing is in its way.

Tether reverts without a reason, so that a reverted trial says nothing by itself: the same request asks for the wallet's
balance and for Tether's own switches. What they say counts whatever the trial says, since a token may also fail by
answering false, or take a fee and answer as ever. A token without such switches has them off.
"""

from __future__ import annotations

import asyncio
from typing import Any

from service_code.kit import erc20
from service_code.kit.chain import Node, NodeRefusedError, Quote, Refusal, whole
from service_code.kit.wallet.coins import OnChain, setting_of
from service_code.kit.wallet.failures import Fault, PayoutError


async def try_transfer(node: Node, wallet: str, transfer: OnChain) -> Quote:
    """Simulate a token's transfer and read what signing it needs; PayoutError or NodeRefusedError where it fails."""
    contract, currency = transfer.to, transfer.currency
    call = {"from": wallet, "to": contract, "data": transfer.data}
    balance_of = erc20.about(erc20.BALANCE_OF, wallet)
    # The balance before the trial and after it: a block may come between.
    switches = (erc20.DEPRECATED, erc20.FEE_RATE, erc20.PAUSED, erc20.about(erc20.IS_BLACKLISTED, wallet))
    questions = (balance_of, *switches)
    found, fees = await asyncio.gather(
        node.try_all(
            ("eth_getBalance", wallet, "latest"),
            ("eth_getTransactionCount", wallet, "pending"),
            ("eth_getCode", contract, "latest"),
            ("eth_call", {"to": contract, "data": balance_of}, "latest"),
            # As of the newest block, as the balance: without that, a node may count what waits in its pool.
            ("eth_estimateGas", call, "latest"),
            ("eth_call", call, "latest"),
            *(("eth_call", {"to": contract, "data": question}, "latest") for question in questions),
        ),
        node.fees(),
    )
    balance, nonce, code, before, gas, answer, *said = found
    for known in (balance, nonce, code):
        if isinstance(known, NodeRefusedError):
            raise known
    for told in (before, *said):  # a contract may not know the question; a node that cannot say is another matter
        if isinstance(told, NodeRefusedError) and told.refusal is Refusal.OTHER:
            raise told
    least, after, deprecated, fee_rate, paused, blacklisted = (erc20.number(one) or 0 for one in (before, *said))
    tokens = min(least, after)
    if code == "0x":
        why = f"{setting_of(currency)} names an address without a contract on this chain: set the token's own"
        raise PayoutError("NO_TOKEN_CONTRACT", why, Fault.ELSEWHERE)
    if deprecated:  # its coins are moved by another contract, whose events would not be known for a payout's
        why = f"{currency}'s issuer has replaced the contract: set {setting_of(currency)} to the new one"
        raise PayoutError("TOKEN_DEPRECATED", why, Fault.ELSEWHERE)
    if blacklisted:
        raise PayoutError("WALLET_BLACKLISTED", f"{currency}'s issuer has blacklisted the wallet", Fault.ELSEWHERE)
    if paused:
        raise PayoutError("TOKEN_PAUSED", f"{currency}'s issuer has paused all transfers", Fault.ELSEWHERE)
    if fee_rate:
        why = f"{currency} takes a fee of transfers: the exchange would get less than its order"
        raise PayoutError("TOKEN_TAKES_FEE", why, Fault.ELSEWHERE)
    units = (erc20.read_transfer(transfer.data) or ("", 0))[1]
    _works(gas, answer, currency, enough=tokens >= units)
    return Quote(balance=whole(balance), gas=whole(gas), pending_nonce=whole(nonce), fees=fees, tokens=tokens)


def _works(gas: Any, answer: Any, currency: str, *, enough: bool) -> None:
    """Refuse a transfer that the trial has seen fail."""
    refused = next((one for one in (answer, gas) if isinstance(one, NodeRefusedError)), None)
    if refused is not None and refused.refusal is Refusal.INSUFFICIENT_FUNDS:
        raise PayoutError("INSUFFICIENT_GAS", "the wallet's ether is too low for the gas", Fault.OWN)
    if refused is not None and refused.refusal is not Refusal.REVERTED:
        raise refused
    if refused is None and erc20.agrees(answer):
        return
    if not enough:
        raise PayoutError("INSUFFICIENT_FUNDS", f"the wallet's balance of {currency} is too low", Fault.OWN)
    if refused is not None:
        raise PayoutError("SIMULATION_REVERTED", "the transfer would be reverted", Fault.FINAL)
    raise PayoutError("TRANSFER_REFUSED", f"{currency}'s contract answers that the transfer would fail", Fault.FINAL)
