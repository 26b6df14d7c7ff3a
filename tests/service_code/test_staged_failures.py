"""Payouts that fail by their own fault: three attempts, a minute apart, then recorded, told and recoverable."""

from __future__ import annotations

from typing import Any

import pytest

from service_code.kit.wallet.failures import ERRORS, Fault, classify
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, alerts, balances, share
from tests.service_code.test_staged import EXECUTIONS, Line, line, triggered
from tests.service_code.world import World, routes

RETRIES, NEWS = "gchostpay3-retry-queue", "gchostpay-payment-failed-queue"
#: More than the wallet has.
TOO_MUCH = 500_000 * ETH


async def exhausted(stages: Line, trigger: Any) -> None:
    """Let a payout that cannot succeed have all of its attempts, each delivered twice."""
    task = await stages.until(EXECUTIONS, trigger)
    for _ in range(2):
        assert (await stages.deliver(task)).json()["status"] == "next"
        assert (await stages.deliver(task)).json()["status"] == "next"
        (task,) = stages.world.outer.take(RETRIES)
        assert task.scheduled == pytest.approx(stages.world.clock.at + 60, abs=1)
        stages.world.clock.at += 60
    assert (await stages.deliver(task)).json()["status"] == "next"
    assert (await stages.deliver(task)).json()["status"] == "already_failed"


async def test_three_attempts_of_its_own_then_recorded_told_and_its_money_kept(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, PAYOUT_LIMIT_ETH="1000000", DAY_LIMIT_ETH="1000000") as stages:
        await exhausted(stages, trigger)
        (news,) = world.outer.take(NEWS)
        assert (await stages.deliver(news)).json()["status"] == "failed"
        assert (await stages.deliver(news)).json()["status"] == "failed"

    row = await sql.fetchrow("SELECT * FROM failed_transactions")
    assert (row["unique_id"], row["error_code"], row["attempt_count"]) == (unique_id, "INSUFFICIENT_FUNDS", 3)
    assert (row["status"], row["retryable"], row["service"]) == ("dead", True, "gchostpay3")
    assert (row["last_attempt_at"] - row["first_attempt_at"]).total_seconds() == pytest.approx(120, abs=1)
    assert len(row) == 22
    assert await sql.fetchval("SELECT count(*) FROM pg_indexes WHERE tablename = 'failed_transactions'") == 7
    assert tuple(await sql.fetchrow("SELECT state, error_code FROM hostpay_stages")) == ("failed", "INSUFFICIENT_FUNDS")
    assert await sql.fetchval("SELECT status FROM split_payout_que") == "dead"
    assert (await balances(sql))["dead_payouts"] == -share(TOO_MUCH)
    (said,) = world.outer.slack
    assert unique_id in str(said)
    assert "INSUFFICIENT_FUNDS" in str(said)
    assert alerts(log_lines, "payment_dead") == 1


async def test_a_failed_payout_is_retried_by_one_command_and_paid_once(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    limits = {"PAYOUT_LIMIT_ETH": "1000000", "DAY_LIMIT_ETH": "1000000"}
    async with line(world, **limits) as stages, world.run("gcsplit") as splitter:
        await exhausted(stages, trigger)
        await stages.run(world.outer.take(NEWS))
        await chain.ask("anvil_setBalance", world.wallet.address, hex(2 * TOO_MUCH))
        path = f"/failed-transactions/{unique_id}/retry"
        assert (await splitter.operate("POST", path)).json()["status"] == "replayed"
        assert (await splitter.operate("POST", path)).json()["status"] == "already_replayed"
        await stages.run(world.outer.take("gcsplit-hostpay-trigger-queue"))
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay WHERE status = 'completed'") == 1
    held = await balances(sql)
    assert (held["dead_payouts"], held["exchange_clearing"]) == (0, 0)


async def test_an_address_that_is_none_fails_at_once(world: World, chain: Chain, sql: Any) -> None:
    _, task = await flow.received(world)
    async with world.run("gcsplit", ROUTES=routes(payout=100)) as splitter:
        await splitter.deliver(task)
        (order,) = world.outer.orders.values()
        order["payinAddress"] = "0x" + "Ab" * 20  # no checksum of any address
        await sql.execute("UPDATE split_payout_que SET payin_address = $1", order["payinAddress"])
        await sql.execute(
            """
            UPDATE outbox SET message = jsonb_set(message, '{payin_address}', to_jsonb($1::text)), sent_at = NULL,
                id = id || 'x'
            WHERE queue LIKE 'gcsplit%'
            """,
            order["payinAddress"],
        )
        world.clock.at += 60
        world.outer.tasks.clear()
        await splitter.sweep()
    (trigger,) = world.outer.take("gcsplit-hostpay-trigger-queue")
    async with line(world) as stages:
        execution = await stages.until(EXECUTIONS, trigger)
        assert (await stages.deliver(execution)).json()["status"] == "next"
        assert world.outer.take(RETRIES) == []
    row = await sql.fetchrow("SELECT error_code, retryable, attempt_count FROM failed_transactions")
    assert tuple(row) == ("INVALID_ADDRESS", False, 1)


async def test_slack_that_is_down_or_not_wanted_loses_no_failure(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    world.outer.slack_status = 500
    for number, more in enumerate(({}, {"SLACK_ALERT_WEBHOOK": "none"}, {"ALERTING_ENABLED": "false"})):
        _, trigger = await triggered(world, TOO_MUCH + number)
        async with line(world, PAYOUT_LIMIT_ETH="1000000", DAY_LIMIT_ETH="1000000", **more) as stages:
            await exhausted(stages, trigger)
        world.outer.tasks.clear()
    assert await sql.fetchval("SELECT count(*) FROM failed_transactions") == 3
    assert alerts(log_lines, "alert") == 3
    assert world.outer.slack == []


async def test_operators_list_mark_and_settle_and_nothing_happens_twice(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, PAYOUT_LIMIT_ETH="1000000", DAY_LIMIT_ETH="1000000") as stages:
        await exhausted(stages, trigger)
    base = f"/failed-transactions/{unique_id}"
    async with world.run("gcsplit") as splitter:
        for query, found in (("", 1), ("?code=INSUFFICIENT_FUNDS&retryable=true", 1), ("?retryable=false", 0),
                             ("?status=recovered", 0), ("?status=all", 1)):  # fmt: skip
            answer = await splitter.operate("GET", f"/failed-transactions{query}")
            assert len(answer.json()["failed_transactions"]) == found, query
        for wrong in ("?status=x", "?retryable=maybe", "?code=a'b"):
            assert (await splitter.operate("GET", f"/failed-transactions{wrong}")).status == 400
        marked = await splitter.operate("POST", f"{base}/status", {"status": "investigating", "note": "ticket 7"})
        assert (marked.status, marked.json()["status"], marked.json()["note"]) == (200, "investigating", "ticket 7")
        assert (await splitter.operate("POST", f"{base}/status", {"status": "paid"})).status == 400
        assert (await splitter.operate("POST", f"{base}/recovered", {})).status == 400
        settled = await splitter.operate("POST", f"{base}/recovered", {"tx_hash": "0x" + "ab" * 32})
        assert settled.json()["status"] == "recovered"
        again = await splitter.operate("POST", f"{base}/recovered", {"tx_hash": "0x" + "cd" * 32})
        assert again.json()["already"] == "recovered"
        assert (await splitter.operate("POST", f"{base}/retry")).json()["status"] == "already_recovered"
        assert (await splitter.operate("POST", "/failed-transactions/none/recovered", {"note": "x"})).status == 404
    held = await balances(sql)
    assert (held["dead_payouts"], held["settled_outside"]) == (0, -share(TOO_MUCH))


def test_every_error_of_node_and_signer_has_a_code_and_a_fault() -> None:
    from service_code.kit.chain import NodeAwayError, NodeRefusedError
    from service_code.kit.outside import UnreachableError
    from service_code.kit.signer import SigningRefusedError

    def refused(text: str) -> NodeRefusedError:
        return NodeRefusedError("eth_estimateGas", text)

    #: Texts of geth, erigon, nethermind, anvil and providers.
    cases = [
        (refused("insufficient funds for gas * price + value"), "INSUFFICIENT_FUNDS", Fault.OWN),
        (refused("nonce too low: next nonce 7, tx nonce 3"), "NONCE_TOO_LOW", Fault.OWN),
        (refused("nonce too high"), "NONCE_TOO_HIGH", Fault.OWN),
        (refused("replacement transaction underpriced"), "UNDERPRICED", Fault.OWN),
        (refused("max fee per gas less than block base fee"), "UNDERPRICED", Fault.OWN),
        (refused("intrinsic gas too low"), "GAS_LIMIT", Fault.OWN),
        (refused("gas required exceeds allowance (21000)"), "GAS_LIMIT", Fault.OWN),
        (refused("execution reverted: no"), "SIMULATION_REVERTED", Fault.FINAL),
        (refused("something nobody has seen"), "GAS_ESTIMATION_FAILED", Fault.ELSEWHERE),
        (refused("header not found"), "GAS_ESTIMATION_FAILED", Fault.ELSEWHERE),
        (NodeRefusedError("eth_getBalance", "insufficient funds"), "NODE_ERROR", Fault.ELSEWHERE),
        (NodeAwayError("t", "NODE_TIMEOUT"), "NODE_TIMEOUT", Fault.ELSEWHERE),
        (NodeAwayError("u", "NODE_UNREACHABLE"), "NODE_UNREACHABLE", Fault.ELSEWHERE),
        (NodeAwayError("r", "NODE_RATE_LIMITED"), "NODE_RATE_LIMITED", Fault.ELSEWHERE),
        (NodeAwayError("w", "WRONG_CHAIN"), "WRONG_CHAIN", Fault.ELSEWHERE),
        (UnreachableError("Cloud KMS"), "SIGNER_AWAY", Fault.ELSEWHERE),
        (SigningRefusedError("OVER_PAYMENT_LIMIT", "x"), "OVER_PAYMENT_LIMIT", Fault.FINAL),
        (SigningRefusedError("OVER_FEE_LIMIT", "x"), "OVER_FEE_LIMIT", Fault.FINAL),
        *(
            (SigningRefusedError(code, "x"), code, Fault.ELSEWHERE)
            for code in ("SIGNER_MISMATCH", "BAD_KEY", "WRONG_CHAIN", "OVER_GAS_LIMIT")
        ),
        (SigningRefusedError("OVER_DAY_LIMIT", "x"), "OVER_DAY_LIMIT", Fault.ELSEWHERE),
    ]
    for error, code, fault in cases:
        assert isinstance(error, ERRORS)
        found = classify(error)
        assert (found.code, found.fault) == (code, fault)
    with pytest.raises(ValueError, match="other"):
        classify(ValueError("other"))
