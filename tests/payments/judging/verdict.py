"""The verdict: all rules held against one set of facts and one database.

    invariants(database, facts)   what is wrong, in words; nothing where all is well

`settled` says that nothing is in flight: then every payment must be at an end. Without it payments may be anywhere, and
all that is written must still agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.payments.judging.books import read_books
from tests.payments.judging.claims import judge_notices, owed
from tests.payments.judging.facts import Facts
from tests.payments.judging.payouts import judge_payouts, judge_wallet
from tests.payments.judging.points import judge_points
from tests.payments.judging.postings import expected_postings, judge_ledger, judge_sums


@dataclass
class Report:
    """What was found; `differences` is empty when everything agrees."""

    differences: list[str] = field(default_factory=list)
    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    sums: dict[str, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.differences

    def say(self, difference: str) -> None:
        self.differences.append(difference)


async def report_of(database: Any, facts: Facts, *, settled: bool = True) -> Report:
    """Judge; `database` is a DSN, or a connection of the database's owner."""
    books = await read_books(database)
    wrong_notices, recorded = judge_notices(facts, books)
    wrong_owed, state = owed(facts, books, recorded)
    wrong_payouts, whose, paid = judge_payouts(facts, books, state, settled=settled)
    wrong_points, points = judge_points(facts, books, settled=settled)
    expected = expected_postings(facts, books, state, whose) | points
    spent = facts.wallet.spent
    wrong_ledger, accounts = judge_ledger(expected, books, whose, spent, settled=settled)
    wrong_sums, sums = judge_sums(facts, state, whose, paid)
    wallet = judge_wallet(facts.wallet, settled=settled)
    counts = {
        "notices": len({notice.unique_id for notice in facts.notices}),
        "acknowledged": len({notice.unique_id for notice in facts.notices if notice.acknowledged}),
        "recorded": len(recorded),
        "events": len(facts.events),
        "batches": len(books.batches),
        "paid": len(paid),
        "dead": len(state.dead),
        "recovered": len(state.recovered),
        "payouts": sum(len(tx.out) for tx in spent),
        "transactions": len(spent),
        "reverted": sum(not tx.good for tx in spent),
        "orders": len(facts.orders),
        "postings": len(books.ledger),
    }
    wrong = [*wallet, *wrong_notices, *wrong_owed, *wrong_payouts, *wrong_points, *wrong_ledger, *wrong_sums]
    return Report(differences=wrong, accounts=accounts, sums=sums, counts=counts)


async def invariants(database: Any, facts: Facts, *, settled: bool = True) -> list[str]:
    """What is wrong, in words."""
    return (await report_of(database, facts, settled=settled)).differences
