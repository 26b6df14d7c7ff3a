"""The judge beside the services: nothing where all is well, in flight or at rest, and each wrong row by itself."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from typing import Any

from tests.payments.judging.facts import Facts
from tests.payments.judging.verdict import invariants
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.judged import facts_of, violations
from tests.service_code.town import lived
from tests.service_code.world import World

#: One row of what is written, changed, and what the judge must say of it.
WRONG = {
    "a posting is lost": (
        "DELETE FROM ledger_entries WHERE entry_key LIKE 'payout:%' AND entry_key NOT IN (SELECT substr(entry_key, 10)"
        " FROM ledger_postings WHERE kind = 'reversal')",
        "does not balance",
    ),
    "a notice's posting is lost": (
        "WITH gone AS (DELETE FROM ledger_entries WHERE entry_key LIKE 'notice:%')"
        " DELETE FROM ledger_postings WHERE entry_key LIKE 'notice:%'",
        "the ledger has no posting notice:",
    ),
    "a unit too much": (
        "UPDATE ledger_entries SET amount = amount + sign(amount) WHERE entry_key LIKE 'split:%'"
        " AND account IN ('unsplit_funds', 'platform_fees')",
        "account platform_fees",
    ),
    "one side of a posting": (
        "UPDATE ledger_entries SET amount = amount + 1 WHERE entry_key LIKE 'gas:%' AND account = 'gas_expense'",
        "does not balance",
    ),
    "another currency": ("UPDATE ledger_entries SET currency = 'usdt' WHERE entry_key LIKE 'batch:%'", "says"),
    "a posting from nowhere": (
        "WITH new AS (INSERT INTO ledger_postings VALUES ('payout:0xdead@0xbeef', 'payout', 'X', NULL, '2026-01-01'))"
        " INSERT INTO ledger_entries VALUES ('payout:0xdead@0xbeef', 'exchange_clearing', 'eth', 5),"
        " ('payout:0xdead@0xbeef', 'host_wallet', 'eth', -5)",
        "the ledger has a posting payout:0xdead that nothing outside explains",
    ),
    "a payout of another payment's": (
        "UPDATE ledger_postings SET unique_id = 'somebody' WHERE kind = 'payout'",
        "is somebody's, the transaction paid",
    ),
    "a reversal is lost": (
        "WITH gone AS (DELETE FROM ledger_entries WHERE entry_key LIKE 'reversal:payout%')"
        " DELETE FROM ledger_postings WHERE entry_key LIKE 'reversal:payout%'",
        "is of another block",
    ),
    "a request is lost": (
        "DELETE FROM split_payout_request WHERE unique_id = $paid0",
        "was acknowledged and is neither recorded nor a dead letter",
    ),
    "a request of another amount": (
        "UPDATE split_payout_request SET amount = amount + 1 WHERE unique_id = $paid0",
        "which no notice says",
    ),
    "a request that nobody announced": (
        "INSERT INTO split_payout_request SELECT 'forged', source_event, user_id, channel_id, subscription_days,"
        " currency, amount, client_wallet, payout_currency, payout_network, received_at, 1, split_queued_at"
        " FROM split_payout_request WHERE unique_id = $paid0",
        "payment forged is recorded and no notice of it was sent",
    ),
    "a split is lost": ("DELETE FROM split_payout_que WHERE unique_id = $paid0", "that nothing outside explains"),
    "a death is lost": (
        "DELETE FROM failed_transactions WHERE unique_id = $unsplit",
        "was acknowledged and is neither paid nor recorded dead",
    ),
    "a paid payment stands dead": (
        "UPDATE failed_transactions SET status = 'dead' WHERE unique_id = $replayed",
        "is recorded dead and was paid",
    ),
    "a payment is settled outside as well": (
        "UPDATE failed_transactions SET status = 'recovered' WHERE unique_id = $replayed",
        "is recorded as settled outside and was paid as well",
    ),
    "a recovery is forgotten": (
        "UPDATE failed_transactions SET status = 'dead' WHERE unique_id = $recovered",
        "the ledger has a posting recovered:",
    ),
    "two payments of one address": (
        "UPDATE split_payout_que SET payin_address = (SELECT payin_address FROM split_payout_que"
        " WHERE unique_id = $paid1) WHERE unique_id = $lost",
        "stands for two payments",
    ),
    "a member too few": (
        "UPDATE payout_accumulation SET batch_id = NULL WHERE unique_id = (SELECT min(unique_id)"
        " FROM payout_accumulation WHERE batch_id IS NOT NULL)",
        "they sum to",
    ),
    "a batch of another amount": ("UPDATE payout_batches SET amount = amount - 1", "they sum to"),
    "a share of another amount": ("UPDATE payout_accumulation SET accumulated_eth = accumulated_eth + 1", "holds"),
    "a batch that was not sent": ("UPDATE payout_batches SET status = 'assembled'", "the ledger has a posting batch:"),
    "an event is lost": (
        "DELETE FROM paynow_events WHERE event_id = 'event-1'",
        "event event-1 was acknowledged and is not recorded",
    ),
    "an event without an end": (
        "UPDATE paynow_events SET status = 'queued' WHERE event_id = 'event-1'",
        "event event-1 is queued: it has no end",
    ),
    "a credit is lost": ("DELETE FROM wallet_credits WHERE credit_key = 'order:order-1'", "nobody was credited"),
    "a credit of another amount": (
        "UPDATE wallet_credits SET points = points - 1 WHERE credit_key = 'order:order-1'",
        "order:order-1 credited 99",
    ),
    "a wallet of another amount": ("UPDATE wallet_users SET points = points + 1", "its credits sum to"),
    "points twice": (
        "INSERT INTO wallet_credits SELECT 'order:none', event_id, user_id, points, balance, credited_at"
        " FROM wallet_credits WHERE credit_key = 'order:order-1'",
        "which no processed event says",
    ),
}


async def test_every_wrong_row_is_found_and_a_right_town_is_not_blamed(world: World, chain: Chain, sql: Any) -> None:
    async with AsyncExitStack() as stack:
        town = await lived(world, chain, sql, stack)
    facts = await facts_of(world)
    assert await invariants(sql, facts) == []
    assert await violations(world, sql, settled=False) == []
    await sql.execute("SET session_replication_role = replica")  # what triggers and keys refuse may still happen
    for what, (statement, said) in WRONG.items():
        found = await _after(sql, _named(statement, town.ids), facts)
        assert any(said in one for one in found), (what, found)
    assert await invariants(sql, facts) == []


def _named(statement: str, ids: dict[str, str]) -> str:
    for name, unique_id in ids.items():
        statement = statement.replace(f"${name}", f"'{unique_id}'")
    return statement


async def _after(sql: Any, statement: str, facts: Facts) -> list[str]:
    change = sql.transaction()
    await change.start()
    try:
        status = await sql.execute(statement)
        assert not status.endswith(" 0"), statement
        return await invariants(sql, facts)
    finally:
        await change.rollback()


async def test_what_the_outside_knows_and_the_books_do_not_is_found(world: World, chain: Chain, sql: Any) -> None:
    async with world.run("gchostpay") as payer:
        unique_id, task = await flow.split(world)
        assert await violations(world, sql, settled=False) == []
        assert f"payment {unique_id} was acknowledged and is neither paid nor recorded dead" in await violations(
            world, sql
        )
        assert (await payer.deliver(task)).status == 200
        assert await violations(world, sql, settled=False) == []  # mined, and not yet written down
        await flow.confirm_all(world, payer)
    facts = await facts_of(world)
    assert await invariants(sql, facts) == []
    wallet, (paid,) = facts.wallet, facts.wallet.spent
    (sent,) = paid.out
    stray = dataclasses.replace(sent, units=sent.units + 1)
    twice = dataclasses.replace(paid, hash="0x" + "77" * 32, nonce=1)
    for changed, said in (
        ({"spent": [paid, twice], "mined": 2}, f"payment {unique_id} was paid 2 times"),
        ({"spent": [dataclasses.replace(paid, out=(stray,))]}, "wei were paid, its share is"),
        ({"spent": [dataclasses.replace(paid, nonce=3)]}, "nonces have a gap"),
        ({"spent": [], "mined": 0}, "that nothing outside explains"),
        ({"pending": wallet.pending + 1}, "1 transactions of the wallet are still open"),
        ({"balances": {"eth": wallet.balances["eth"] - 1}}, "its receipts say"),
        ({"moved": ("0x1 moved 5 usdt",)}, "tokens were moved by somebody else"),
    ):
        found = await invariants(sql, dataclasses.replace(facts, wallet=dataclasses.replace(wallet, **changed)))
        assert any(said in one for one in found), (said, found)
    elsewhere = [dataclasses.replace(one, client="0x" + "99" * 20) for one in facts.orders]
    found = await invariants(sql, dataclasses.replace(facts, orders=elsewhere))
    assert any("not for its client" in one for one in found), found
    found = await invariants(sql, dataclasses.replace(facts, orders=[]))
    assert any("belongs to no order of the exchange" in one for one in found), found
