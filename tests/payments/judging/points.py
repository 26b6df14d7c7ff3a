"""PayNow's events against the wallets: each acknowledged event recorded, each thing paid for credited once."""

from __future__ import annotations

from tests.payments.judging.books import Books
from tests.payments.judging.facts import Event, Facts, Lines

#: Ends of an event.
ENDS = ("processed", "failed", "dead")


def judge_points(facts: Facts, books: Books, *, settled: bool) -> tuple[list[str], dict[str, Lines]]:
    """Returns what is wrong, and the postings that the ledger must have."""
    found: list[str] = []
    rows = {row["event_id"]: row for row in books.events}
    told = {event.event_id: event for event in facts.events}
    by_key: dict[str, list[Event]] = {}
    for event in told.values():
        if event.key is not None:
            by_key.setdefault(event.key, []).append(event)
    for event in facts.events:
        row = rows.get(event.event_id)
        if event.acknowledged and event.key is not None and row is None:
            found.append(f"event {event.event_id} was acknowledged and is not recorded")
        if settled and row is not None and row["status"] not in ENDS:
            found.append(f"event {event.event_id} is {row['status']}: it has no end")
    found += [f"event {event_id} is recorded and was never sent" for event_id in rows.keys() - told.keys()]
    expected = _credits(found, facts, books, by_key)
    return found + _wallets(books), expected


def _credits(found: list[str], facts: Facts, books: Books, by_key: dict[str, list[Event]]) -> dict[str, Lines]:
    """Each thing that was paid for is credited once, in full, to whom it was for."""
    rows = {row["event_id"]: row for row in books.events}
    customers = {row["customer_id"]: row["user_id"] for row in books.users}
    credited = {row["credit_key"]: row for row in books.credits}
    expected: dict[str, Lines] = {}
    for key, events in by_key.items():
        processed = [one for one in events if one.event_id in rows and rows[one.event_id]["status"] == "processed"]
        worth = sum(facts.terms.products.get(product, 0) * pieces for product, pieces in events[0].lines)
        if not processed or not worth:
            continue
        expected[f"points:{key}"] = {"points_issued/points": worth, "user_points/points": -worth}
        credit = credited.get(key)
        if credit is None:
            found.append(f"{key} was paid for and processed, and nobody was credited")
            continue
        users = {one.user or customers.get(one.customer) for one in events}
        if int(credit["points"]) != worth or credit["user_id"] not in users:
            found.append(f"{key} credited {credit['points']} to {credit['user_id']}, it is worth {worth} to {users}")
    for key, credit in credited.items():
        if f"points:{key}" not in expected:
            found.append(f"{credit['points']} points were credited for {key}, which no processed event says")
    return expected


def _wallets(books: Books) -> list[str]:
    """A wallet holds what its credits sum to."""
    found: list[str] = []
    sums: dict[str, int] = {}
    for credit in books.credits:
        sums[credit["user_id"]] = sums.get(credit["user_id"], 0) + int(credit["points"])
    for user in books.users:
        if int(user["points"]) != sums.get(user["user_id"], 0):
            has, due = user["points"], sums.get(user["user_id"], 0)
            found.append(f"the wallet of {user['user_id']} holds {has} points, its credits sum to {due}")
    return found
