"""Incidents of payments: dead, waiting, late, kept back by the exchange, taken back by the chain."""

from __future__ import annotations

import re
import secrets

import pytest

from tests.payments.stack import Stack, broken, http, until
from tests.runbook.incident import Do, incident, whole
from tests.runbook.staging import GATHERED, alerting, dead, held, sent, waits, well

pytestmark = pytest.mark.stack

MINUTE = 60
#: Of another client.
WALLET = "0x" + "ef" * 20
CHECKS, EXECUTIONS = "gchostpay-status-check-queue", "hostpay-execution-queue"


@incident("A payment is dead", "Is everything accounted for?")
def test_the_dead_are_listed_and_shown_replayed_once_set_aside_and_settled(stack: Stack, do: Do) -> None:
    with broken(stack, target="changenow", kind="error", method="exchange", status=400):
        replayed, seen_to, settled = lost = sent(stack, "single", 3)
        dead(stack, lost)
    assert "payment-dead" in alerting()
    assert all(one in do("./sluice dead list") for one in lost)
    shown = do("./sluice dead show ID", {"ID": replayed})
    assert "EXCHANGE_INTERNAL_ERROR" in shown
    assert "may be done" in shown
    assert "outcome=refused" in do("./sluice logs --payment ID", {"ID": replayed})

    why = {"TEXT": "'the exchange is back'"}
    do("./sluice dead mark ID investigating", {"ID": seen_to})
    assert "mark it dead again" in do("./sluice dead replay ID --why TEXT", {"ID": seen_to, **why}, code=1)
    told = do("./sluice reconcile --funded eth=100", code=1)
    assert "not replayed until it is marked dead again" in told
    assert "it was given more than that" in told

    for _ in range(2):  # it happens once, however often it is asked for
        do("./sluice dead replay ID --why TEXT", {"ID": replayed, **why})
    do("./sluice dead settle ID --tx 0x...", {"ID": settled, "0x...": f"0x{secrets.token_hex(32)}"})
    assert "already_recovered" in do("./sluice dead replay ID --why TEXT", {"ID": settled, **why})
    do("./sluice dead mark ID dead", {"ID": seen_to})
    do("./sluice dead replay ID --why TEXT", {"ID": seen_to, **why})
    stack.paid([replayed, seen_to])
    assert len(re.findall(rf"replay +payment +{replayed} .*back", do("./sluice dead history"))) == 1

    assert "running" in do("./sluice status")
    assert "open nonces" in do("./sluice wallet show")
    assert not any(one in do("./sluice dead list") for one in lost)
    well(stack)
    assert "0 findings" in do("./sluice reconcile")
    assert "0 findings" in do("./sluice reconcile --older-than 30m")


@incident(
    "A staged payout waits",
    "The exchange or the node is away",
    "A queue grows",
    "What waits in a queue",
    "Tasks fail",
    "Tasks are slow",
)
def test_what_waits_for_the_exchange_is_seen_in_its_queue_and_run_once_it_is_back(stack: Stack, do: Do) -> None:
    with broken(stack, target="changenow", method="by-id", kind="error", status=503):
        staged = sent(stack, "staged", 2)
        waits(stack, CHECKS, 2)
        stack.advance(12 * MINUTE)
    assert "exchange-availability" in alerting()
    assert "ChangeNow answered 503" in do("./sluice logs --payment ID", {"ID": staged[0]})
    assert re.search(rf"{CHECKS} +running +2", do("./sluice status"))
    assert "status=503" in do(
        "./sluice logs --filter "
        """'jsonPayload.event=("changenow_call" OR "rpc_call") AND NOT jsonPayload.outcome="ok"'"""
    )
    failed = do(
        """./sluice logs --filter 'jsonPayload.queue="QUEUE" AND jsonPayload.http_status>=400'""", {"QUEUE": CHECKS}
    )
    assert "why=ChangeNow answered 503" in failed
    assert "tight retry" in do("./sluice lint --timelines")
    assert "ChangeNow answered 503" in do(
        "./sluice logs --service SERVICE --filter 'jsonPayload.http_status>=400'", {"SERVICE": "gchostpay2"}
    )

    do("./sluice queues pause QUEUE", {"QUEUE": CHECKS})
    assert "2 tasks 500" in do("./sluice queues describe QUEUE", {"QUEUE": CHECKS})
    listed = do("./sluice queues tasks QUEUE --code 500 --older-than 10m", {"QUEUE": CHECKS})
    assert len(re.findall(r" 500 +stable ", listed)) == 2
    assert "no task like this" in do("./sluice queues tasks QUEUE --to canary", {"QUEUE": CHECKS})
    assert "2 tasks" in do("./sluice queues run QUEUE --all --rate 5/s", {"QUEUE": CHECKS})
    stack.paid(staged)
    assert f"queues run {CHECKS} by " in do("""./sluice logs --filter 'log_id("sluice-operations")'""")
    do("./sluice queues resume QUEUE", {"QUEUE": CHECKS})
    assert "task_seconds=7" in do("./sluice logs --filter 'jsonPayload.task_seconds > 30'")
    well(stack)


@whole
@incident("Payments wait longer than usual", "A conversion is stuck")
def test_payments_that_waited_for_the_exchange_are_named_and_go_on_by_themselves(stack: Stack, do: Do) -> None:
    with broken(stack, target="changenow", kind="drop"):
        split = sent(stack, "single", 2)
        (gathered,) = (one["unique_id"] for one in stack.send(count=1, wait=True, **GATHERED))
        stack.advance(70 * MINUTE)
    assert {"payments-late", "payments-stuck", "conversions-stuck"} <= alerting()
    named = do("./sluice reconcile", code=1)
    assert all(one in named for one in (*split, gathered))
    assert re.search(r"gcsplit2-queue +running +1", do("./sluice status"))
    assert "the conversion waits" in do("./sluice logs --service gcsplit2 --severity WARNING")
    assert "2 attempts, 2 done" in do("./sluice clock advance 1h")
    stack.paid(split)
    well(stack)
    assert "0 findings" in do("./sluice reconcile")
    stack.advance(5 * MINUTE)
    assert not {"payments-late", "payments-stuck", "conversions-stuck"} & alerting()


@incident("The exchange refuses a batch or a conversion")
def test_a_batch_that_the_exchange_refuses_is_found_by_its_payment_and_ordered_after_all(stack: Stack, do: Do) -> None:
    refused = "SELECT batch_id FROM payout_accumulation a JOIN payout_batches b USING (batch_id) "
    refused += "WHERE a.unique_id = $1 AND b.status = 'refused'"
    with broken(stack, target="changenow", kind="error", method="exchange", status=400):
        (first,) = (one["unique_id"] for one in stack.send(count=1, wait=True, **GATHERED))
        until(lambda: bool(stack.sql(refused, first)), 30, lambda: "no batch was refused")
        (batch,) = (row["batch_id"] for row in stack.sql(refused, first))
        (other,) = (one["unique_id"] for one in stack.send(count=1, wait=True, client_wallet=WALLET, **GATHERED))
        until(lambda: bool(stack.sql(refused, other)), 30, lambda: "no other batch was refused")
        (settled,) = (row["batch_id"] for row in stack.sql(refused, other))
        why = {"TEXT": "'the exchange says it is mended'"}
        assert "ChangeNow answered 400" in do("./sluice dead replay ID --why TEXT", {"ID": batch, **why}, code=1)
    assert "batch-refused" in alerting()
    assert re.search(rf"batch +{batch} .*EXCHANGE_INTERNAL_ERROR", do("./sluice dead list --flow threshold"))
    assert f"./sluice dead replay {batch}" in do("./sluice dead show ID", {"ID": first})
    (second,) = (one["unique_id"] for one in stack.send(count=1, wait=True, **GATHERED))
    for _ in range(2):  # it happens once, however often it is asked for
        do("./sluice dead replay ID --why TEXT", {"ID": batch, **why})
    do("./sluice dead settle ID --note TEXT", {"ID": settled, "TEXT": "'paid by hand'"})
    assert "nothing waits" in do("./sluice dead replay --all --flow threshold")
    paid = "SELECT 1 FROM payout_accumulation a JOIN split_payout_hostpay p ON p.unique_id = a.batch_id "
    paid += "WHERE a.unique_id = ANY($1) AND p.status = 'completed'"
    until(
        lambda: len(stack.sql(paid, [first, second])) == 2 or not stack.advance(MINUTE), 60, lambda: "they are not paid"
    )
    well(stack)


@incident("Host payments come late", "Host payments are sent anew")
def test_a_host_payment_whose_token_died_in_a_queue_is_sent_anew_by_itself(stack: Stack, do: Do) -> None:
    with held(stack, EXECUTIONS):
        late = sent(stack, "single", 2)
        waits(stack, EXECUTIONS, 2)
        stack.advance(70)
        assert re.search(rf"{EXECUTIONS} +paused +2", do("./sluice status"))
    stack.idle()
    assert "the token is older than 60 s" in do("./sluice logs --service gchostpay --severity WARNING")
    letters = re.findall(r"(letter-\d+) .*TOKEN_EXPIRED.*\((\w+)\)", do("./sluice dead letters"))
    assert set(late) <= {payment for _, payment in letters}
    for letter, _ in letters:
        do("./sluice dead drop letter-N --why TEXT", {"letter-N": letter, "TEXT": "'it is sent anew'"})
    do("./sluice reconcile")
    assert "given up" in do("./sluice lint --timelines")
    stack.advance(6 * MINUTE)
    stack.paid(late)
    assert "token-expired" in alerting()
    well(stack)


@incident("The chain took something back", "The chain's webhook is silent or refused")
def test_a_reorganisation_and_a_refused_webhook_are_seen_and_cost_nothing(stack: Stack, do: Do) -> None:
    with broken(stack, target="alchemy", kind="bad_signature", count=1):
        (payment,) = sent(stack, "single")
        stack.paid([payment])
        stack.idle()
    assert "status=BAD_SIGNATURE" in do("./sluice logs --service gchostpay4 --severity WARNING")
    (row,) = stack.sql("SELECT block_number AS number FROM split_payout_hostpay WHERE unique_id = $1", payment)
    assert http("POST", f"{stack.sandbox}/chain/reorg", {"block": row["number"]})[0] == 200
    anew = "SELECT 1 FROM split_payout_hostpay WHERE unique_id = $1 AND status = 'completed' AND block_number > $2"
    until(lambda: bool(stack.sql(anew, payment, row["number"])), 30, lambda: "it was not mined anew")
    well(stack)
    assert payment in do("""./sluice logs --filter 'jsonPayload.event="reorganised"'""")
    assert "reorganised" in alerting()
    assert "0 findings" in do("./sluice reconcile")
