"""From YAML to a paid payment: what a newcomer is promised, on a whole stack, judged from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.payments.judge import judge
from tests.payments.stack import Stack, http, until

pytestmark = pytest.mark.stack


def verdict(stack: Stack) -> None:
    """Fail with the judge's words unless chain, exchange, notices and ledger agree to the wei."""
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, "\n".join(report.differences)


def test_a_payment_is_followed_to_its_block_and_its_ledger_postings(stack: Stack) -> None:
    paid = stack.json("pay", "--amount", "0.05")
    assert (paid["count"], paid["paid"]) == (1, 1)
    payment = paid["payments"][0]
    hops = [hop["hop"] for hop in payment["hops"]]
    assert hops[0] == "received"
    assert {"split and exchange ordered", "payout signed", "payout broadcast", "payout mined"} <= set(hops)
    assert payment["payouts"][-1]["block_number"]
    told = "SELECT said FROM chain_news WHERE unique_id = $1"
    until(lambda: stack.sql(told, payment["unique_id"]) == [{"said": "mined"}], 20, lambda: "no news of the chain")
    for posting in payment["ledger"]:
        assert sum(int(line["amount"]) for line in posting["lines"]) == 0
    assert {posting["entry_key"].partition(":")[0] for posting in payment["ledger"]} >= {"notice", "split", "payout"}


def test_a_payment_in_usdt_is_followed_to_its_last_posting_and_judged(stack: Stack) -> None:
    paid = stack.json("pay", "--flow", "usdt")
    assert (paid["count"], paid["paid"]) == (1, 1)
    coins = {
        (posting["kind"], line["currency"]) for posting in paid["payments"][0]["ledger"] for line in posting["lines"]
    }
    assert coins == {("notice", "usdt"), ("split", "usdt"), ("payout", "usdt"), ("gas", "eth")}
    stack.idle()
    verdict(stack)


def test_200_payments_at_50_a_second_with_repeated_notices_are_paid_once_each(stack: Stack) -> None:
    sent = stack.send(amount="0.01", count=200, rate=50, duplicate_every=10, wait=True)
    assert all(payment["acknowledged"] for payment in sent)
    assert sum(len(payment["copies"]) for payment in sent) == 200 + 2 * 20
    stack.paid([payment["unique_id"] for payment in sent])
    stack.idle()
    verdict(stack)


def test_a_repeated_notice_is_told_so(stack: Stack) -> None:
    (sent,) = stack.send(amount="0.02", count=1, wait=True)
    url = stack.status()["services"]["gcwebhook"]
    status, answer = http("POST", url + "/", sent["body"].encode(), headers={"x-nowpayments-sig": sent["signature"]})
    assert (status, answer["status"]) == (200, "already_processed")
    status, answer = http("GET", sent["success_url"])
    assert (status, answer["status"]) == (200, "already_processed")


def test_a_reorganisation_is_taken_back_by_its_news_and_the_payout_is_mined_anew(stack: Stack) -> None:
    (payment,) = stack.json("pay", "--amount", "0.03")["payments"]
    unique_id, block = payment["unique_id"], payment["payouts"][-1]["block_number"]
    assert http("POST", f"{stack.sandbox}/chain/reorg", {"block": block})[0] == 200
    anew = "SELECT 1 FROM split_payout_hostpay WHERE unique_id = $1 AND status = 'completed' AND block_number > $2"
    until(lambda: bool(stack.sql(anew, unique_id, block)), 30, lambda: "it was not mined anew")
    told = stack.sql("SELECT said FROM chain_news WHERE unique_id = $1 ORDER BY heard_at", unique_id)
    assert {row["said"] for row in told} == {"mined", "removed"}
    taken = stack.sql("SELECT entry_key FROM ledger_postings WHERE unique_id = $1 AND kind = 'reversal'", unique_id)
    assert len(taken) == 2
    stack.idle()
    verdict(stack)


def test_a_second_up_makes_not_one_write_call(stack: Stack) -> None:
    assert "not one write call" in stack.sluice("up", "--no-pay").stdout


def test_the_migration_job_runs_by_its_own_login(stack: Stack) -> None:
    owners = stack.sql("SELECT DISTINCT tableowner::text AS owner FROM pg_tables WHERE schemaname = 'public'")
    assert [row["owner"] for row in owners] == ["sluice-migrator@sluice-local.iam"]
    job = "/v2/projects/sluice-local/locations/us-central1/jobs/sluice-migrate"
    operation = http("POST", f"{stack.rest}{job}:run", {})[1]["name"]
    done = http("POST", f"{stack.rest}/v2/{operation}:wait", {"timeout": "60s"}, timeout=90)[1]
    assert done["response"]["succeededCount"] == 1


def test_the_program_made_database_and_logins(stack: Stack) -> None:
    users = http("GET", f"{stack.rest}/sql/v1beta4/projects/sluice-local/instances/payments/users")[1]["items"]
    logins = {user["name"] for user in users if user["name"] != "postgres"}
    assert "gchostpay@sluice-local.iam" in logins
    found = stack.sql("SELECT DISTINCT usename::text AS name FROM pg_stat_activity WHERE application_name = 'sluice'")
    assert {row["name"] for row in found} <= logins
    granted = "SELECT pg_has_role('gchostpay@sluice-local.iam', 'gchostpay', 'member') AS is_member"
    assert stack.sql(granted) == [{"is_member": True}]


def test_status_names_endpoints_services_and_queues(stack: Stack) -> None:
    status = stack.status()
    assert {"stack", "project", "location", "rest", "grpc", "services", "queues"} <= set(status)
    assert set(status["services"]) == {path.parent.name for path in Path("service_code").glob("*/service.yaml")}
    assert set(status["queues"]) == {path.stem for path in Path("queue_configs/tasks").glob("*.yaml")}
    for queue in status["queues"].values():
        assert queue["state"] == "RUNNING"
        assert queue["depth"] >= 0
    assert http("GET", status["services"]["gcwebhook"] + "/health")[0] == 200
