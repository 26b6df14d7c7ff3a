"""What must hold after a run, whatever happened in it: the judge's rules, nothing under way, PayNow in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.service_code.judged import violations
from tests.service_code.simulation.run import Simulation

#: What the wallet has at the beginning.
FUNDED = {"eth": 100 * 10**18, "usdt": 100_000 * 10**6}
#: What is on its way, as rows say it. A message of a payout that is at its end need not go out any more.
OPEN = """
    SELECT 'payment ' || unique_id || ' is not split' AS what FROM split_payout_request r
    WHERE threshold_usdt IS NULL
      AND NOT EXISTS (SELECT 1 FROM split_payout_que q WHERE q.unique_id = r.unique_id)
      AND NOT EXISTS (SELECT 1 FROM failed_transactions f WHERE f.unique_id = r.unique_id)
    UNION ALL SELECT 'payment ' || unique_id || ' is not accumulated' FROM split_payout_request r
    WHERE threshold_usdt IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM payout_accumulation a WHERE a.unique_id = r.unique_id)
      AND NOT EXISTS (SELECT 1 FROM failed_transactions f WHERE f.unique_id = r.unique_id)
    UNION ALL SELECT 'payout ' || unique_id || ' is ' || status || ', ' || way FROM split_payout_que
    WHERE status = 'pending_hostpay'
    UNION ALL SELECT 'conversion ' || unique_id || ' is pending' FROM payout_accumulation
    WHERE conversion_status = 'pending' AND NOT too_small
    UNION ALL SELECT 'batch ' || batch_id || ' is ' || status FROM payout_batches WHERE status IN ('assembled', 'sent')
    UNION ALL SELECT 'nonce ' || nonce || ' is open' FROM wallet_nonces WHERE state = 'open'
    UNION ALL SELECT 'event ' || event_id || ' is queued' FROM paynow_events WHERE status = 'queued'
    UNION ALL SELECT 'access of ' || unique_id || ' is open' FROM channel_access
    WHERE granted_at IS NULL AND refused_at IS NULL
    UNION ALL SELECT 'stage of ' || unique_id || ' is ' || state FROM hostpay_stages s
    WHERE state IN ('checking', 'executing')
      AND EXISTS (SELECT 1 FROM split_payout_que q WHERE q.unique_id = s.unique_id AND q.status = 'completed'
                  AND q.generation = s.generation)
    UNION ALL SELECT 'outbox row ' || id || ' is unsent' FROM outbox o
    WHERE sent_at IS NULL AND cancelled_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM split_payout_que q WHERE q.unique_id = o.unique_id AND q.status <> 'pending_hostpay')
    """
#: Who is still at work in the database.
BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
    """
#: Deaths that a replay cannot mend, and refusals of one where the exchange was never asked before: no such amount.
HOPELESS = ("EXCHANGE_DEPOSIT_TOO_SMALL",)


async def open_things(sql: Any) -> list[str]:
    """What is still on its way."""
    return [row["what"] for row in await sql.fetch(OPEN)]


async def at_rest(simulation: Simulation, sql: Any) -> list[str]:
    """Everything that is wrong when all is quiet."""
    found = await open_things(sql)
    found += await _judged(simulation, sql)
    found += await _in_order(simulation, sql)
    if await sql.fetchval("SELECT count(*) FROM wallets WHERE stopped_at IS NOT NULL"):
        found.append("the wallet is stopped though nobody else used its key")
    return found


async def dead(sql: Any, refused: Mapping[str, str]) -> list[str]:
    """Payments that stand dead and that a replay should have mended; `refused` is why theirs were refused."""
    rows = await sql.fetch(
        "SELECT unique_id, error_code FROM failed_transactions WHERE status IN ('dead', 'investigating') "
        "AND error_code <> ALL ($1)",
        list(HOPELESS),
    )
    return [
        f"payment {row['unique_id']} is dead after its replay: {row['error_code']}, {refused.get(row['unique_id'])}"
        for row in rows
        if refused.get(row["unique_id"]) not in HOPELESS
    ]


async def _judged(simulation: Simulation, sql: Any) -> list[str]:
    world = simulation.world
    while await sql.fetchval(BUSY):  # what a dead instance has sent is obeyed to its end
        await sql.execute("SELECT pg_sleep(0.01)")
    return await violations(world, sql, funded=FUNDED, tokens={world.usdt: "usdt"})


async def _in_order(simulation: Simulation, sql: Any) -> list[str]:
    """A user's credits are in the order of his events, but for those that were given up and replayed."""
    late = {one.attributes["unique_id"] for one in simulation.queues.dead_lettered}
    rows = await sql.fetch(
        """
        SELECT c.user_id, c.event_id, o.place FROM wallet_credits c JOIN paynow_events e USING (event_id)
        JOIN outbox o ON o.unique_id = c.event_id AND o.id = 'paynow-events:' || c.event_id || ':1'
        WHERE e.replays = 0 ORDER BY c.user_id, c.balance
        """
    )
    places: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["event_id"] not in late:
            places[row["user_id"]].append(row["place"])
    return [f"events of {user} were credited out of order" for user, one in places.items() if one != sorted(one)]
