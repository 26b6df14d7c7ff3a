"""The ledger, recomputed from notices and receipts to the unit: each posting, each account, and what came in, went out
and is held."""

from __future__ import annotations

from collections import defaultdict

from tests.payments.judging.books import CHAINED, Books, Ledger, account_of, net
from tests.payments.judging.claims import SETTLED, UNSENT, Claim, Owed
from tests.payments.judging.facts import ETHER, Facts, Lines, Sent, Spent


def expected_postings(facts: Facts, books: Books, state: Owed, whose: dict[str, str]) -> dict[str, Lines]:
    """What the ledger must say."""
    found: dict[str, Lines] = {}
    for unique_id, one in state.recorded.items():
        x, coin = one.notice.units, one.notice.currency
        found[f"notice:{unique_id}"] = lines(coin, processor_receivable=x, unsplit_funds=-x)
        kind, holder = ("accumulate", "accumulated_funds") if one.gathered else ("split", "exchange_clearing")
        if unique_id in (state.gathered if one.gathered else state.split):
            shares = {holder: -one.client, "platform_fees": -one.fee, "rounding": -one.rounding}
            found[f"{kind}:{unique_id}"] = lines(coin, unsplit_funds=x, **shares)
        elif unique_id in state.dead | state.recovered:
            found[f"dead:{unique_id}"] = lines(coin, unsplit_funds=x, dead_payouts=-x)
    for unique_id, (coin, units) in state.opened.items():
        found[f"opening:{unique_id}"] = lines(coin, processor_receivable=units, accumulated_funds=-units)
    unsent = {row["batch_id"] for row in books.batches if row["status"] in UNSENT}
    settled = {row["batch_id"] for row in books.batches if row["status"] == SETTLED}
    batches = {row["batch_id"] for row in books.batches}
    for claim in state.claims.values():
        if claim.id in settled:
            shares = {"accumulated_funds": claim.units, "settled_outside": -claim.units}
            found[f"settled:{claim.id}"] = lines(claim.currency, **shares)
        elif claim.id in batches - unsent:
            shares = {"accumulated_funds": claim.units, "exchange_clearing": -claim.units}
            found[f"batch:{claim.id}"] = lines(claim.currency, **shares)
        if claim.id in state.dead | state.recovered:
            death = {"exchange_clearing": claim.units, "dead_payouts": -claim.units}
            found[f"dead:{claim.id}"] = lines(claim.currency, **death)
    for one_id in state.recovered:
        claim_of = state.claims.get(one_id)
        coin, units = (
            (claim_of.currency, claim_of.units)
            if claim_of
            else (state.recorded[one_id].notice.currency, state.recorded[one_id].notice.units)
        )
        found[f"recovered:{one_id}"] = lines(coin, dead_payouts=units, settled_outside=-units)
    for tx in facts.wallet.spent:
        claim_id = whose.get(tx.hash, "")
        mined = _mined(tx, state.claims.get(claim_id))
        found |= mined
        strayed = mined.get(f"stray:{tx.hash}")
        if strayed and claim_id in state.recovered:  # part of the means by which it was settled
            coin = state.claims[claim_id].currency
            units = strayed[account_of("strayed_funds", coin)]
            found[f"stray_settled:{claim_id}"] = lines(coin, settled_outside=units, strayed_funds=-units)
    return {name: kept for name, kept in found.items() if kept}


def _mined(tx: Spent, claim: Claim | None) -> dict[str, Lines]:
    """Gas, the payout, and tokens that went astray."""
    found = {f"gas:{tx.hash}": lines(ETHER, gas_expense=tx.gas, host_wallet=-tx.gas)}
    stray: dict[str, int] = defaultdict(int)
    for sent in tx.out:
        if is_payout(sent, claim):
            shares = {"exchange_clearing": sent.units, "host_wallet": -sent.units}
            found[f"payout:{tx.hash}"] = lines(sent.currency, **shares)
        else:
            stray[sent.currency] += sent.units
    for coin, units in stray.items():
        found[f"stray:{tx.hash}"] = lines(coin, strayed_funds=units, host_wallet=-units)
    return found


def is_payout(sent: Sent, claim: Claim | None) -> bool:
    """Whether coins that left the wallet are the payout that was asked for: a token's contract moves what it likes."""
    if sent.currency == ETHER:  # what moves ether is what was signed
        return True
    return claim is not None and (sent.currency, sent.units) == (claim.currency, claim.units)


def lines(currency: str, **amounts: int) -> Lines:
    """Lines of a posting; those of zero are not written."""
    return {account_of(account, currency): units for account, units in amounts.items() if units}


def judge_ledger(
    expected: dict[str, Lines], books: Books, whose: dict[str, str], spent: list[Spent], *, settled: bool
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Each posting and each account; returns what is wrong, and the accounts as both sides have them."""
    found = _unbalanced(books.ledger)
    actual = net(books.ledger)
    if not settled:  # what the chain says of an open nonce may not be written down yet
        for name in {f"{k}:{row['tx_hash']}" for row in books.variants if row["state"] == "open" for k in CHAINED}:
            expected.pop(name, None)
            actual.pop(name, None)
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            found.append(f"the ledger has no posting {name}: {expected[name]} is missing")
        elif name not in expected:
            found.append(f"the ledger has a posting {name} that nothing outside explains: {actual[name]}")
        elif actual[name] != expected[name]:
            found.append(f"posting {name} says {actual[name]}, outside says {expected[name]}")
    found += _standing(books.ledger, whose, spent)
    totals = _totals(expected, actual)
    for account, (outside, inside) in sorted(totals.items()):
        if outside != inside:
            found.append(
                f"account {account}: the ledger has {inside} wei, outside says {outside}: {inside - outside:+}"
            )
    return found, {account: {"expected": str(o), "ledger": str(i)} for account, (o, i) in sorted(totals.items())}


def _totals(*sides: dict[str, Lines]) -> dict[str, list[int]]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place, side in enumerate(sides):
        for amounts in side.values():
            for account, units in amounts.items():
                totals[account][place] += units
    return totals


def _unbalanced(ledger: Ledger) -> list[str]:
    found: list[str] = []
    for key, (_, amounts) in ledger.items():
        sums: dict[str, int] = defaultdict(int)
        for account, units in amounts.items():
            sums[account.partition("/")[2]] += units
        if any(sums.values()) or not amounts:
            found.append(f"posting {key} does not balance: {amounts}")
    return found


def _standing(ledger: Ledger, whose: dict[str, str], spent: list[Spent]) -> list[str]:
    """What stands of a transaction stands once, for the block that it is in, and under the payment that it paid."""
    found: list[str] = []
    blocks = {tx.hash: tx.block_hash for tx in spent}
    for key, (unique_id, _) in ledger.items():
        kind, _, rest = key.partition(":")
        if kind not in CHAINED or f"reversal:{key}" in ledger:
            continue
        tx_hash, _, block = rest.partition("@")
        if tx_hash in blocks and block.partition("#")[0] != blocks[tx_hash]:
            found.append(f"posting {key} is of another block than the transaction is in: {blocks[tx_hash]}")
        if kind == "payout" and whose.get(tx_hash, unique_id) != unique_id:
            found.append(f"posting {key} is {unique_id}'s, the transaction paid {whose[tx_hash]}")
    return found


def judge_sums(
    facts: Facts, state: Owed, whose: dict[str, str], paid: set[str]
) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Money in = out + fees + held, to the unit, per currency: each payment's money is in one place."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("in", "out", "fees", "held"), 0))
    for one in state.recorded.values():
        there = sums[one.notice.currency]
        there["in"] += one.notice.units
        if one.notice.unique_id in state.split | state.gathered:
            there["fees"] += one.fee + one.rounding
        else:
            there["held"] += one.notice.units
    for currency, units in state.opened.values():
        sums[currency]["in"] += units
    for unique_id in state.gathered | state.opened.keys():
        if unique_id not in state.batched:
            opened = state.opened.get(unique_id)
            currency, units = opened or (state.recorded[unique_id].notice.currency, state.recorded[unique_id].client)
            sums[currency]["held"] += units
    for claim in state.claims.values():
        if claim.id not in paid:
            sums[claim.currency]["held"] += claim.units
    for tx in facts.wallet.spent:
        for sent in tx.out:
            sums[sent.currency]["out"] += sent.units if is_payout(sent, state.claims.get(whose.get(tx.hash, ""))) else 0
    return [
        f"{currency}: {one['in']} came in; {one['out']} out, {one['fees']} fees and {one['held']} held are "
        f"{one['out'] + one['fees'] + one['held']}"
        for currency, one in sorted(sums.items())
        if one["in"] != one["out"] + one["fees"] + one["held"]
    ], {currency: dict(one) for currency, one in sums.items()}
