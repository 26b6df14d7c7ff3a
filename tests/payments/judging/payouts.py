"""What left the wallet against what was owed: each claim paid at most once, to its client's order, in full."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.payments.judging.books import Books
from tests.payments.judging.claims import SETTLED, UNSENT, Owed
from tests.payments.judging.facts import Facts, Order, Sent, Spent, Wallet


def judge_wallet(wallet: Wallet, *, settled: bool) -> list[str]:
    """Nonces without gaps, nothing open, and balances that follow from the receipts."""
    found: list[str] = []
    for place, tx in enumerate(sorted(wallet.spent, key=lambda tx: tx.nonce)):
        if tx.nonce != place:
            found.append(f"the wallet's nonces have a gap: {place} is missing before {tx.hash} with {tx.nonce}")
            break
    if wallet.mined != len(wallet.spent):
        found.append(f"the chain counts {wallet.mined} transactions of the wallet, its blocks hold {len(wallet.spent)}")
    if settled and wallet.pending != wallet.mined:
        found.append(f"{wallet.pending - wallet.mined} transactions of the wallet are still open")
    found += [f"the wallet's tokens were moved by somebody else: {one}" for one in wallet.moved]
    for currency, owned in wallet.owned.items():
        out = sum(sent.units for tx in wallet.spent for sent in tx.out if sent.currency == currency)
        gas = sum(tx.gas for tx in wallet.spent) if currency == "eth" else 0
        balance, expected = wallet.balances.get(currency, 0), owned - out - gas
        if balance != expected:
            unit = "wei" if currency == "eth" else currency
            found.append(
                f"the wallet holds {balance} {unit}, its receipts say {expected}: {balance - expected:+} {unit}"
            )
    return found


def judge_payouts(
    facts: Facts, books: Books, state: Owed, *, settled: bool
) -> tuple[list[str], dict[str, str], set[str]]:
    """Returns what is wrong, the claim of each transaction, and the claims that are paid."""
    found: list[str] = []
    given: dict[str, list[tuple[Spent, Sent]]] = defaultdict(list)
    whose: dict[str, str] = {}
    orders = {order.payin.lower(): order for order in facts.orders}
    belongs = _addresses(books, found)
    by_wallet: dict[str, list[str]] = defaultdict(list)
    for claim in state.claims.values():
        by_wallet[claim.wallet].append(claim.id)
    for tx in facts.wallet.spent:
        for sent in tx.out:
            order = orders.get(sent.to)
            candidates = by_wallet[order.client.lower()] if order else []
            claim_id = belongs.get(sent.to) or (candidates[0] if len(candidates) == 1 else None)
            if claim_id is None or claim_id not in state.claims:
                found.append(f"{sent.units} {sent.currency} were paid to {sent.to} for no payment: {tx.hash}")
                continue
            given[claim_id].append((tx, sent))
            whose[tx.hash] = claim_id
            if order and order.client.lower() != state.claims[claim_id].wallet:
                found.append(f"payment {claim_id} was paid to an order for {order.client}, not for its client")
    found += _orders(facts, orders)
    for claim_id, ones in given.items():
        found += _given(state, claim_id, ones, settled=settled)
    if settled:
        found += _left(state, books, set(given))
    return found, whose, set(given)


def _orders(facts: Facts, orders: dict[str, Order]) -> list[str]:
    """Only orders of the exchange are paid, each once."""
    times = Counter(sent.to for tx in facts.wallet.spent for sent in tx.out)
    found = [
        f"{address} was paid and belongs to no order of the exchange" for address in times if address not in orders
    ]
    return found + [
        f"order {orders[address].id}: its address {address} was paid {count} times"
        for address, count in times.items()
        if count > 1 and address in orders
    ]


def _given(state: Owed, claim_id: str, ones: list[tuple[Spent, Sent]], *, settled: bool) -> list[str]:
    """What one claim was given: once, in full, and not beside a death that stands."""
    found: list[str] = []
    claim, hashes = state.claims[claim_id], ", ".join(tx.hash for tx, _ in ones)
    if len(ones) > 1:
        found.append(f"payment {claim_id} was paid {len(ones)} times: {hashes}")
    if settled and claim_id in state.dead:  # before, the death may be about to be taken back
        found.append(f"payment {claim_id} is recorded dead and was paid: {hashes}")
    if claim_id in state.recovered:
        found.append(f"payment {claim_id} is recorded as settled outside and was paid as well: {hashes}")
    for tx, sent in ones:
        if (sent.units, sent.currency) != (claim.units, claim.currency):
            unit = "wei" if sent.currency == "eth" else sent.currency
            found.append(
                f"payment {claim_id}: {sent.units} {unit} were paid, its share is {claim.units}"
                f"{'' if claim.currency == sent.currency else f' {claim.currency}'}: {tx.hash}"
            )
    return found


def _addresses(books: Books, found: list[str]) -> dict[str, str]:
    """Whose each address is, as any row says: the split, a payout, or a death of an earlier generation."""
    belongs: dict[str, str] = {}
    for row in (*books.splits, *books.payouts, *books.deaths):
        if row["payin_address"] is None:
            continue
        address = row["payin_address"].lower()
        if belongs.setdefault(address, row["unique_id"]) != row["unique_id"]:
            found.append(f"{address} stands for two payments: {belongs[address]} and {row['unique_id']}")
    return belongs


def _left(state: Owed, books: Books, paid: set[str]) -> list[str]:
    """At rest every payment is paid, dead, settled outside, or gathered and waiting."""
    unsent = {row["batch_id"] for row in books.batches if row["status"] in (*UNSENT, SETTLED)}
    ended = paid | state.dead | state.recovered
    open_ = {one for one in state.recorded if one not in state.split | state.gathered}
    open_ |= {claim.id for claim in state.claims.values() if claim.id not in unsent}
    return [f"payment {one} was acknowledged and is neither paid nor recorded dead" for one in sorted(open_ - ended)]
