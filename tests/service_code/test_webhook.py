"""gcwebhook's promises: a payment is recorded once, whatever arrives, and what is authentic is never lost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from service_code.kit import order_token
from tests.service_code.notices import ETH, ipn, notify, order, sign
from tests.service_code.world import SECRETS, World


async def test_a_notice_becomes_a_payment_a_split_a_grant_and_a_posting(world: World, sql: Any) -> None:
    sold = order(world)
    async with world.run("gcwebhook") as service:
        assert await notify(service, ipn(world, sold)) == (200, {"status": "accepted", "unique_id": sold.unique_id})

    (split,) = world.outer.take("split-payment-queue")
    assert split.json()["amount"] == {"currency": "eth", "units": str(ETH // 20)}
    assert (split.service, split.path, split.audience) == (
        "gcsplit",
        "/process_split",
        "https://gcsplit-1.us-central1.run.app",
    )
    (grant,) = world.outer.take("channel-access-queue")
    assert grant.json()["user_id"] == 77
    entries = await sql.fetch("SELECT account, currency, amount FROM ledger_entries ORDER BY amount")
    assert [tuple(row) for row in entries] == [
        ("unsplit_funds", "eth", -ETH // 20),
        ("processor_receivable", "eth", ETH // 20),
    ]
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0


async def test_a_repeat_is_already_processed_however_often_and_old(world: World, sql: Any) -> None:
    body = ipn(world, order(world))
    async with world.run("gcwebhook") as service:
        first = await asyncio.gather(*(notify(service, body) for _ in range(20)))
        world.clock.at += timedelta(days=3).total_seconds()
        late = await notify(service, body)

    assert sorted(answer["status"] for _, answer in first) == ["accepted"] + ["already_processed"] * 19
    assert all(status == 200 for status, _ in first)
    assert late[0] == 200
    assert late[1]["status"] == "already_processed"
    assert len(world.outer.take("split-payment-queue")) == 1
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings") == 1
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_the_redirect_is_recorded_and_moves_nothing_until_the_notice_comes(world: World, sql: Any) -> None:
    sold = order(world)
    token = order_token.mint(sold, SECRETS["SUCCESS_URL_SIGNING_KEY"])
    recorded = {"status": "recorded", "unique_id": sold.unique_id}
    async with world.run("gcwebhook") as service:
        for _ in range(2):
            answer = await service.request("GET", f"/?token={token}")
            assert (answer.status, answer.json()) == (200, recorded)
        shown = (await service.operate("GET", f"/payments/{sold.unique_id}")).json()
        assert (shown["status"], [hop["hop"] for hop in shown["hops"]]) == ("recorded", ["buyer came back"])
        assert world.outer.tasks == []
        for table in ("split_payout_request", "channel_access", "ledger_postings", "outbox"):
            assert await sql.fetchval(f"SELECT count(*) FROM {table}") == 0, table
        assert (await notify(service, ipn(world, sold)))[1]["status"] == "accepted"
        again = await service.request("GET", f"/?token={token}")
        assert again.json()["status"] == "already_processed"
        world.clock.at += timedelta(days=3).total_seconds()
        assert (await service.request("GET", f"/?token={token}")).json()["status"] == "already_processed"

    assert len(world.outer.take("split-payment-queue")) == 1
    assert await sql.fetchval("SELECT count(*) FROM split_payout_request") == 1
    assert await sql.fetchval("SELECT count(*) FROM webhook_events") == 2
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_other_money_for_a_recorded_payment_is_kept_and_alerted(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    sold = order(world)
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, sold))
        second = await notify(service, ipn(world, sold, payment_id=4711))
        await notify(service, ipn(world, sold))  # the first one, plainly repeated: that is no second payment
        reused = await notify(service, ipn(world, order(world), payment_id=4711))

    repeated = [line for line in log_lines if line.get("event") == "difference"]
    assert [line["code"] for line in repeated] == ["SECOND_PAYMENT", "PAYMENT_ID_REUSED"]
    assert second == (200, {"status": "already_processed", "unique_id": sold.unique_id})
    assert (reused[0], reused[1]["error"]) == (409, "PAYMENT_ID_REUSED")
    codes = await sql.fetch("SELECT code FROM dead_letters ORDER BY id")
    assert [row["code"] for row in codes] == ["SECOND_PAYMENT", "PAYMENT_ID_REUSED"]
    assert [line["code"] for line in log_lines if line.get("event") == "dead_letter"] == [row["code"] for row in codes]
    assert await sql.fetchval("SELECT count(*) FROM split_payout_request") == 1


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"updated_at": 1_700_000_000_000}, (400, "STALE", True)),
        ({"updated_at": 1_900_000_000_000}, (400, "STALE", True)),
        ({"updated_at": "soon"}, (400, "NO_TIME", True)),
        ({"pay_currency": "btc"}, (422, "WRONG_CURRENCY", True)),
        ({"actually_paid": "0"}, (422, "BAD_AMOUNT", True)),
        ({"actually_paid": "1e3"}, (422, "BAD_AMOUNT", True)),
        ({"actually_paid": None}, (422, "BAD_AMOUNT", True)),
        ({"actually_paid": "0.0000000000000000001"}, (422, "BAD_AMOUNT", True)),
        ({"payment_id": None}, (400, "NO_PAYMENT_ID", True)),
        ({"order_id": "AAAA"}, (400, "TOKEN_INVALID", True)),
        ({"payment_status": "splendid"}, (400, "UNKNOWN_STATUS", False)),
    ],
)
async def test_a_signed_notice_that_cannot_be_used_is_refused_with_its_reason_and_kept(
    world: World, sql: Any, change: dict[str, Any], refusal: tuple[int, str, bool]
) -> None:
    status, code, kept = refusal
    async with world.run("gcwebhook") as service:
        answer = await notify(service, ipn(world, order(world), **change))

    assert (answer[0], answer[1]["error"]) == (status, code)
    assert answer[1]["reason"]
    letters = await sql.fetch("SELECT code, body FROM dead_letters")
    assert [row["code"] for row in letters] == ([code] if kept else [])
    assert await sql.fetchval("SELECT count(*) FROM split_payout_request") == 0


@pytest.mark.parametrize(
    "change", [{"unique_id": "pay 1"}, {"client_wallet": "w" * 201}, {"payout_network": "n" * 201}]
)
async def test_an_order_that_no_station_could_read_is_refused_and_kept(
    world: World, sql: Any, change: dict[str, Any]
) -> None:
    async with world.run("gcwebhook") as service:
        status, answer = await notify(service, ipn(world, order(world, **change)))
    assert (status, answer["error"]) == (400, "TOKEN_INVALID")
    assert await sql.fetchval("SELECT code FROM dead_letters") == "TOKEN_INVALID"
    assert await sql.fetchval("SELECT count(*) FROM split_payout_request") == 0


async def test_what_the_processor_did_not_sign_is_refused_and_not_kept(world: World, sql: Any) -> None:
    body = ipn(world, order(world))
    rubbish = [b"", b"\xff\xfe", b"[1]", b"{", b'"x"', b"[" * 100_000, b"null", b"1" * 5000, body[:-3], b'{"a":1e999}']
    async with world.run("gcwebhook") as service:
        assert (await service.post("/", body)).status == 401
        for key in ("", "00", sign(body, "another key"), "é" * 64):
            assert (await service.post("/", body, x_nowpayments_sig=key.encode().decode("latin1"))).status == 401
        altered = body.replace(b"0.05", b"5.05")
        assert (await service.post("/", altered, x_nowpayments_sig=sign(body))).status == 401
        for piece in rubbish:
            answer = await service.post("/", piece, x_nowpayments_sig="ab" * 64)
            assert 400 <= answer.status < 500, piece
            assert "Traceback" not in answer.text
        assert (await service.post("/", b"x" * 2_000_000)).status == 413
        for token in ("", "x", "AAAA", "..", "%00", "A" * 5000):
            assert (await service.request("GET", f"/?token={token}")).status == 400
        assert (await service.request("PUT", "/")).status == 405
        assert (await service.request("GET", "/nothing")).status == 404

    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await sql.fetchval("SELECT count(*) FROM webhook_events") == 0


async def test_news_on_the_way_to_a_payment_is_acknowledged_and_comes_to_nothing(world: World, sql: Any) -> None:
    async with world.run("gcwebhook") as service:
        status, answer = await notify(service, ipn(world, order(world), payment_status="confirming"))

    assert (status, answer["status"]) == (200, "ignored")
    assert await sql.fetchval("SELECT count(*) FROM webhook_events") == 0


async def test_numbers_written_by_another_json_library_keep_their_signature(world: World) -> None:
    body = ipn(world, order(world)).replace(b'"price_amount": "100"', b'"price_amount":1.50,"fee":1E-7')
    canonical = body.replace(b": ", b":").replace(b", ", b",")
    fields = sorted(canonical[1:-1].split(b","))
    signed = b"{" + b",".join(fields) + b"}"
    signature = hmac.new(SECRETS["PROCESSOR_IPN_KEY"].encode(), signed, hashlib.sha512).hexdigest()
    async with world.run("gcwebhook") as service:
        answer = await service.post("/", body, x_nowpayments_sig=signature)

    assert answer.status == 200, answer.text


async def test_the_caller_gets_its_2xx_even_if_no_task_can_be_made_and_the_sweeper_makes_it(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    world.outer.tasks_status = 403
    async with world.run("gcwebhook") as service:
        assert (await notify(service, ipn(world, order(world))))[0] == 200
        assert world.outer.tasks == []
        assert await sql.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL AND last_error LIKE '%403%'") == 2
        world.outer.tasks_status = 200
        assert (await service.sweep())["resent"] == 0  # still in the hands of its request
        world.clock.at += 15
        assert (await service.sweep())["resent"] == 2
        assert (await service.sweep())["resent"] == 0

    assert len(world.outer.take("split-payment-queue")) == 1
    assert any(line.get("event") == "enqueue_failed" for line in log_lines)


async def test_a_task_made_before_counts_as_sent(world: World, sql: Any) -> None:
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, order(world)))
        await sql.execute("UPDATE outbox SET sent_at = NULL")  # the crash between create and mark
        world.clock.at += 15
        assert (await service.sweep())["resent"] == 2

    assert len(world.outer.take("split-payment-queue")) == 1
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0


async def test_what_the_queue_dropped_is_put_anew_at_growing_intervals_for_a_day(world: World) -> None:
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, order(world)))
        assert len(world.outer.take("split-payment-queue")) == 1
        world.clock.at += 200
        assert (await service.sweep())["splits"] == 0
        world.clock.at += 200
        assert (await service.sweep())["splits"] == 1
        world.clock.at += 400
        assert (await service.sweep())["splits"] == 0
        world.clock.at += 400
        assert (await service.sweep())["splits"] == 1
        world.clock.at += 25 * 3600
        assert (await service.sweep())["splits"] == 0

    assert len({task.name for task in world.outer.take("split-payment-queue")}) == 2


async def test_access_is_granted_once_and_a_repeat_sends_nothing(world: World, sql: Any) -> None:
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, order(world)))
        (grant,) = world.outer.take("channel-access-queue")
        world.outer.telegram_status = 500
        assert (await service.deliver(grant)).status == 500
        world.outer.telegram_status = 200
        assert (await service.deliver(grant, 1)).status == 200
        assert (await service.deliver(grant, 2)).json() == {"status": "already_processed"}

    assert [method for method, _ in world.outer.telegram] == ["createChatInviteLink", "sendMessage"]
    assert await sql.fetchval("SELECT count(*) FROM channel_access WHERE granted_at IS NOT NULL") == 1


async def test_a_chat_that_refuses_us_is_a_dead_letter_and_leaves_the_money_alone(world: World, sql: Any) -> None:
    world.outer.telegram_status = 403
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, order(world)))
        (grant,) = world.outer.take("channel-access-queue")
        answer = await service.deliver(grant)
        world.clock.at += 3600
        await service.sweep()

    assert (answer.status, answer.json()["code"]) == (200, "TELEGRAM_REFUSED")
    assert world.outer.take("channel-access-queue") == []
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings") == 1


async def test_a_grant_that_never_succeeds_is_given_up_loudly_after_a_day(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    sold = order(world)
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, sold))
        world.clock.at += 24 * 3600 - 10
        assert (await service.sweep())["given_up"] == 0
        world.clock.at += 20
        assert (await service.sweep())["given_up"] == 1
        assert (await service.sweep())["given_up"] == 0

    assert await sql.fetchval("SELECT refused_at IS NOT NULL FROM channel_access") is True
    letter = await sql.fetchrow("SELECT code, unique_id, body FROM dead_letters")
    assert (letter["code"], letter["unique_id"]) == ("ACCESS_NOT_GRANTED", sold.unique_id)
    assert json.loads(letter["body"])["user_id"] == 77
    (alert,) = [line for line in log_lines if line.get("event") == "dead_letter"]
    assert (alert["severity"], alert["unique_id"]) == ("ERROR", sold.unique_id)


async def test_health_names_each_component_and_is_open(world: World, sql: Any) -> None:
    async with world.run("gcwebhook") as service:
        answer = await service.request("GET", "/health")
        assert (answer.status, answer.json()["components"]) == (200, {"database": {"status": "ok"}})
    async with world.run("gcwebhook", DATABASE_URL="postgresql://gcwebhook@127.0.0.1:9/none") as service:
        answer = await service.request("GET", "/health")
        assert (answer.status, answer.json()["status"]) == (503, "down")
        body = ipn(world, order(world))
        assert (await service.post("/", body, x_nowpayments_sig=sign(body))).status == 503
    await sql.execute("DELETE FROM schema_migrations WHERE version > '20261101000002'")
    async with world.run("gcwebhook") as service:
        assert (await service.request("GET", "/health")).status == 503


async def test_operators_see_a_payment_whole_and_others_do_not(world: World) -> None:
    sold = order(world)
    async with world.run("gcwebhook") as service:
        await notify(service, ipn(world, sold))
        answer = await service.operate("GET", f"/payments/{sold.unique_id}")
        assert (await service.operate("GET", "/payments/none")).status == 404
        assert (await service.request("GET", f"/payments/{sold.unique_id}")).status == 401

    found = answer.json()
    assert (answer.status, found["status"]) == (200, "received")
    assert found["request"]["amount"] == str(ETH // 20)
    assert found["hops"][0]["hop"] == "received"
    assert found["ledger"][0]["lines"][0] == {
        "account": "processor_receivable",
        "currency": "eth",
        "amount": str(ETH // 20),
    }
