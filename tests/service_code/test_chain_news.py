"""The chain's webhook: news in any shape, order and number lead to a look at the chain, and to nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from service_code.kit.settings import SettingsError
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts, balances, confirm_all, share
from tests.service_code.outer import Rpc, Task
from tests.service_code.world import SECRETS, Answer, Running, World

KEY, OLD_KEY = SECRETS["ALCHEMY_WEBHOOK_SIGNING_KEY"].splitlines()
NEWS = "gchostpay4-news-queue"
STRANGER = "0x" + "ab" * 32
IDS = itertools.count(1)


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    return {"X-Alchemy-Signature": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}


def event(world: World, kind: str, told: Any, **changes: Any) -> bytes:
    """An event of now, in the shape of Alchemy's pages."""
    at = datetime.fromtimestamp(world.clock.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.411977228Z")
    fields: dict[str, Any] = {
        "webhookId": "wh_k63lg72rxda78gce",
        "id": f"whevt_{next(IDS):016d}",
        "createdAt": at,
        "type": kind,
    }
    fields |= {"event": {"network": "ETH_MAINNET", **told} if isinstance(told, dict) else told}
    return json.dumps({key: value for key, value in {**fields, **changes}.items() if value is not ...}).encode()


def activity(world: World, *hashes: str, block: int = 1, removed: bool = False, **changes: Any) -> bytes:
    """Ether that the wallet has sent."""
    found = [
        {
            "fromAddress": world.wallet.address.lower(), "toAddress": "0x" + "cd" * 20, "blockNum": hex(block),
            "hash": tx_hash, "value": 0.0475, "asset": "ETH", "category": "external",
            "rawContract": {"rawValue": "0xa8c0ff92d4c000", "decimals": 18},
            **({"log": {"removed": True, "blockNumber": hex(block), "transactionHash": tx_hash}} if removed else {}),
        }
        for tx_hash in hashes
    ]  # fmt: skip
    return event(world, "ADDRESS_ACTIVITY", {"activity": found}, **changes)


def mined(world: World, tx_hash: str, block: int, **changes: Any) -> bytes:
    return event(world, "MINED_TRANSACTION", {"transaction": {"hash": tx_hash, "blockNumber": hex(block), **changes}})


def dropped(world: World, tx_hash: str) -> bytes:
    return event(world, "DROPPED_TRANSACTION", {"transaction": {"hash": tx_hash, "blockHash": None}})


def graphql(world: World, number: int, **block: Any) -> bytes:
    told = {"data": {"block": {"number": number, "hash": "0x" + "0a" * 32, **block}}, "sequenceNumber": "10000"}
    return event(world, "GRAPHQL", told)


async def tell(hearer: Running, body: bytes, **headers: str) -> dict[str, Any]:
    answer = await hearer.post("/", body, **{**signed(body), **headers})
    assert answer.status == 200, answer.text
    return answer.json()


async def heed(world: World, payer: Running) -> list[str]:
    """Deliver the news that wait; what the payer made of each."""
    answers = [await payer.deliver(task) for task in world.outer.take(NEWS)]
    assert all(answer.status == 200 for answer in answers), answers
    return [answer.json()["status"] for answer in answers]


async def payout(sql: Any) -> Any:
    return await sql.fetchrow("SELECT * FROM split_payout_hostpay ORDER BY id DESC LIMIT 1")


async def paid(world: World, payer: Running, sql: Any) -> Any:
    """A payout that is mined and settled."""
    _, task = await flow.split(world)
    assert (await payer.deliver(task)).status == 200
    await confirm_all(world, payer)
    return await payout(sql)


async def view(world: World, unique_id: str) -> dict[str, Any]:
    async with world.run("gcwebhook") as webhook:
        return (await webhook.operate("GET", f"/payments/{unique_id}")).json()


def as_transaction(world: World, row: Any, block: int) -> bytes:
    return mined(world, row["tx_hash"], block)


def as_activity(world: World, row: Any, block: int) -> bytes:
    return activity(world, STRANGER, row["tx_hash"].upper().replace("0X", "0x"), block=block)


def as_query(world: World, row: Any, block: int) -> bytes:
    return graphql(world, block, transactions=[{"hash": row["tx_hash"]}], logs=[{"transaction": {"hash": STRANGER}}])


@pytest.mark.parametrize("shape", [as_transaction, as_activity, as_query])
async def test_news_of_a_mined_payout_settle_it_at_once_and_stand_in_its_timeline(
    world: World, chain: Chain, sql: Any, shape: Any
) -> None:
    unique_id, task = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        assert (await payer.deliver(task)).status == 200
        head = int(await chain.ask("eth_blockNumber"), 16)
        answer = await tell(hearer, shape(world, await payout(sql), head))
        assert (answer["status"], answer["known"], answer["asked"]) == ("noted", 1, 1)
        assert await heed(world, payer) == ["settled"]
        row = await payout(sql)
        assert (row["status"], row["tx_status"], row["block_number"]) == ("completed", "success", head)
        await confirm_all(world, payer)  # finds it settled
        await chain.mine(4)
        await payer.sweep()
        assert (await payout(sql))["confirmations"] == 5
        await chain.mine(66)
        assert (await payer.sweep())["final"] == 1
        answer = await tell(hearer, shape(world, row, head))
        assert (answer["known"], answer["asked"]) == (1, 0)  # nobody looks at what is final
    hops = {hop["hop"]: hop["detail"] for hop in (await view(world, unique_id))["hops"]}
    assert hops["the chain's webhook says mined"] == f"block {head}"
    assert hops["payout final"] == "71 confirmations"
    assert (await balances(sql))["exchange_clearing"] == 0


async def test_a_repeat_is_told_so_and_two_at_once_ask_for_one_look(world: World, chain: Chain, sql: Any) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        _, task = await flow.split(world)
        assert (await payer.deliver(task)).status == 200
        body = mined(world, (await payout(sql))["tx_hash"], 1)
        answers = await asyncio.gather(*(tell(hearer, body) for _ in range(5)))
        assert sorted(one["status"] for one in answers) == ["already_processed"] * 4 + ["noted"]
        assert len(world.outer.take(NEWS)) == 1
        world.clock.at += 30 * 3600  # however late
        assert (await tell(hearer, body))["status"] == "already_processed"
    assert await sql.fetchval("SELECT count(*) FROM chain_news") == 1


async def test_removed_before_mined_ends_as_the_chain_says(world: World, chain: Chain, sql: Any) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        row = await paid(world, payer, sql)
        before = await balances(sql)
        await tell(hearer, activity(world, row["tx_hash"], block=7, removed=True))
        await tell(hearer, mined(world, row["tx_hash"], row["block_number"] + 1))
        first, second = world.outer.take(NEWS)
        # It may be told by a node that is ahead of ours: asked again, then left to the sweeper.
        assert [(await payer.deliver(first, retry=retry)).status for retry in range(3)] == [500, 500, 200]
        assert (await payer.deliver(second)).json()["status"] == "stands"
        assert (await payout(sql))["status"] == "completed"
    assert await balances(sql) == before


async def test_a_reorganisation_is_taken_back_at_once_and_the_payout_mined_anew(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        snapshot = await chain.ask("evm_snapshot")
        row = await paid(world, payer, sql)
        before = await balances(sql)
        await chain.ask("evm_revert", snapshot)
        body = activity(world, row["tx_hash"], block=row["block_number"], removed=True)
        await tell(hearer, body)
        (task,) = world.outer.take(NEWS)
        assert (await payer.deliver(task)).status == 500  # no block stands in the place of ours yet
        assert await balances(sql) == before
        await chain.mine(3)
        chain.automine = False
        assert (await payer.deliver(task, retry=1)).json()["status"] == "taken_back"
        taken = await payout(sql)
        assert (taken["status"], taken["tx_status"], taken["confirmations"]) == ("broadcast", "removed", None)
        assert (await balances(sql))["host_wallet"] == 0
        assert alerts(log_lines, "reorganised") == 1
        await chain.mine()  # it was broadcast again
        head = int(await chain.ask("eth_blockNumber"), 16)
        await tell(hearer, mined(world, row["tx_hash"], head))
        assert await heed(world, payer) == ["settled"]
        anew = await payout(sql)
        assert (anew["status"], anew["tx_status"], anew["block_number"]) == ("completed", "success", head)
    after = await balances(sql)
    assert after["exchange_clearing"] == before["exchange_clearing"] == 0
    assert after["host_wallet"] == -(share(flow.ETH // 20) + after["gas_expense"])


async def test_a_transaction_that_moved_to_another_block_is_posted_there_by_one_look(
    world: World, chain: Chain, sql: Any
) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        snapshot = await chain.ask("evm_snapshot")
        row = await paid(world, payer, sql)
        raw = await sql.fetchval("SELECT raw FROM tx_variants")
        await chain.ask("evm_revert", snapshot)
        await chain.mine(2)
        await chain.send(raw)
        head = int(await chain.ask("eth_blockNumber"), 16)
        await tell(hearer, activity(world, row["tx_hash"], block=head))
        assert await heed(world, payer) == ["mined_anew"]
        assert ((await payout(sql))["block_number"], (await payout(sql))["status"]) == (head, "completed")
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings WHERE kind = 'reversal'") == 2


async def test_a_lying_webhook_changes_nothing(world: World, chain: Chain, rpc: Rpc, sql: Any) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        row = await paid(world, payer, sql)
        chain.automine = False
        _, task = await flow.split(world)
        assert (await payer.deliver(task)).status == 200
        waits = await payout(sql)
        before = (await balances(sql), await sql.fetch("SELECT status, block_number FROM split_payout_hostpay"))
        for body in (
            activity(world, row["tx_hash"], block=row["block_number"], removed=True),
            dropped(world, row["tx_hash"]),
            mined(world, row["tx_hash"], row["block_number"] + 5),
            mined(world, waits["tx_hash"], row["block_number"] + 5),
            activity(world, waits["tx_hash"], removed=True),
            dropped(world, waits["tx_hash"]),
        ):
            assert (await tell(hearer, body))["asked"] == 1
            (lie,) = world.outer.take(NEWS)
            assert (await payer.deliver(lie, retry=2)).status == 200
            rows = await sql.fetch("SELECT status, block_number FROM split_payout_hostpay")
            assert (await balances(sql), rows) == before
        assert rpc.calls.count("eth_sendRawTransaction") == 2
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_news_of_a_dropped_payout_have_it_broadcast_again(world: World, chain: Chain, rpc: Rpc, sql: Any) -> None:
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        _, task = await flow.split(world)
        assert (await payer.deliver(task)).status == 200
        await chain.ask("anvil_dropAllTransactions")
        world.clock.at += 15
        await tell(hearer, dropped(world, (await payout(sql))["tx_hash"]))
        assert await heed(world, payer) == ["open"]
        await chain.mine()
        await confirm_all(world, payer)
        assert (await payout(sql))["status"] == "completed"


async def test_a_node_that_is_away_is_asked_again_and_a_known_block_is_no_news(
    world: World, chain: Chain, rpc: Rpc, sql: Any
) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        row = await paid(world, payer, sql)
        assert (await tell(hearer, mined(world, row["tx_hash"], row["block_number"])))["asked"] == 0
        await tell(hearer, dropped(world, row["tx_hash"]))
        (task,) = world.outer.take(NEWS)
        rpc.harm["eth_getBlockByNumber"] = "away"
        answer = await payer.deliver(task, retry=9)
        assert (answer.status, answer.json()["status"]) == (500, "retry")
        lost = Task(**{**vars(task), "body": task.body.replace(row["unique_id"].encode(), b"NOBODY")})
        assert (await payer.deliver(lost)).json()["code"] == "UNKNOWN_PAYOUT"


async def test_a_task_that_could_not_be_made_is_made_by_the_sweeper(world: World, chain: Chain, sql: Any) -> None:
    async with world.run("gchostpay") as payer, world.run("gchostpay4") as hearer:
        _, task = await flow.split(world)
        assert (await payer.deliver(task)).status == 200
        world.outer.tasks_status = 503
        assert (await tell(hearer, mined(world, (await payout(sql))["tx_hash"], 1)))["status"] == "noted"
        assert world.outer.take(NEWS) == []
        world.outer.tasks_status = 200
        world.clock.at += 15
        assert (await hearer.sweep())["resent"] == 1
        assert await heed(world, payer) == ["settled"]


async def test_both_keys_are_good_while_one_is_replaced_and_no_other_is(world: World, sql: Any) -> None:
    async with world.run("gchostpay4") as hearer:
        for key in (KEY, OLD_KEY):
            body = activity(world, STRANGER)
            assert (await tell(hearer, body, **signed(body, key)))["strangers"] == 1
        body = activity(world, STRANGER)
        good = signed(body)["X-Alchemy-Signature"]
        for signature in (
            "",
            good[:-1],
            good + "0",
            "0" * 64,
            "é" * 32,
            signed(body, "another key")["X-Alchemy-Signature"],
        ):
            answer = await hearer.post("/", body, **({"X-Alchemy-Signature": signature} if signature else {}))
            assert refused(answer) == (401, "BAD_SIGNATURE" if signature else "NO_SIGNATURE")
        assert refused(await hearer.post("/", body + b" ", **signed(body))) == (401, "BAD_SIGNATURE")
        assert (await tell(hearer, body, **{"X-Alchemy-Signature": good.upper()}))["status"] == "noted"
    async with world.run("gchostpay4", ALCHEMY_WEBHOOK_SIGNING_KEY=KEY) as hearer:
        assert refused(await hearer.post("/", body, **signed(body, OLD_KEY))) == (401, "BAD_SIGNATURE")
    assert await sql.fetchval("SELECT count(*) FROM chain_events") == 3
    with pytest.raises(SettingsError, match="each line must have 16"):
        async with world.run("gchostpay4", ALCHEMY_WEBHOOK_SIGNING_KEY=f"{KEY}\nshort"):
            pass


def refused(answer: Answer) -> tuple[int, str]:
    body = answer.json()
    assert body["reason"]
    return answer.status, body["error"]


async def test_what_alchemy_signed_and_nobody_can_use_is_kept_and_what_is_none_of_ours_ignored(
    world: World, sql: Any
) -> None:
    async with world.run("gchostpay4") as hearer:
        letters = 0
        for body, code in (
            (b"", "NOT_JSON"),
            (b"{", "NOT_JSON"),
            (b'{"a":' * 9_000, "NOT_JSON"),
            (b"[]", "NOT_A_NOTICE"),
            (event(world, "MINED_TRANSACTION", "x"), "INVALID_DATA"),
            (event(world, "MINED_TRANSACTION", {"transaction": {"hash": "0x12"}}), "INVALID_DATA"),
            (event(world, "DROPPED_TRANSACTION", {}), "INVALID_DATA"),
            (event(world, "ADDRESS_ACTIVITY", {"activity": [7]}), "INVALID_DATA"),
            (event(world, "GRAPHQL", {"data": []}), "INVALID_DATA"),
            (activity(world, STRANGER, id=...), "INVALID_DATA"),
            (activity(world, STRANGER, id="whevt_\u0000"), "INVALID_DATA"),
            (activity(world, STRANGER, webhookId=7), "INVALID_DATA"),
            (activity(world, STRANGER, type=None), "INVALID_DATA"),
            (activity(world, STRANGER, createdAt="yesterday"), "INVALID_DATA"),
        ):
            assert refused(await hearer.post("/", body, **signed(body)))[1] == code
            letters += 1
            assert await sql.fetchval("SELECT count(*) FROM dead_letters") == letters, body[:200]
        for body in (
            event(world, "NFT_ACTIVITY", {"activity": []}),
            event(world, "ADDRESS_ACTIVITY", {"activity": []}),
            graphql(world, 8, logs=[]),
            event(world, "ADDRESS_ACTIVITY", {"error": "Monthly capacity limit exceeded."}),
        ):
            assert (await tell(hearer, body))["status"] == "ignored"
        world.clock.at += 24 * 3600
        late = activity(world, STRANGER, createdAt="2026-11-22T00:00:00Z")
        assert refused(await hearer.post("/", late, **signed(late))) == (400, "STALE")
        early = activity(world, STRANGER, createdAt="9999-12-31T23:59:59-12:00")
        assert refused(await hearer.post("/", early, **signed(early))) == (400, "STALE")
        assert (await hearer.post("/", b"x" * 1_048_577, **signed(b"x"))).status == 413
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == letters
    assert await sql.fetchval("SELECT count(*) FROM chain_events") == 0


async def test_the_webhook_cannot_touch_the_money(world: World, database: str, sql: Any) -> None:
    assert "HOST_WALLET_PRIVATE_KEY" not in __import__("service_code.gchostpay4.app", fromlist=["SECRETS"]).SECRETS
    connection = await asyncpg.connect(database.format(user="gchostpay4"))
    try:
        for statement in (
            "UPDATE split_payout_hostpay SET status = 'completed'",
            "SELECT raw FROM tx_variants",
            "UPDATE wallet_nonces SET state = 'open'",
            "SELECT * FROM ledger_entries",
            "UPDATE chain_events SET kind = 'x'",
            "DELETE FROM chain_news",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
