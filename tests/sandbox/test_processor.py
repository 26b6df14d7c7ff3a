"""The processor signs, repeats and remembers what it sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
from collections.abc import Callable

from tests.sandbox.conftest import Sandbox, Webhook, until


def test_every_notice_carries_a_signature_over_its_sorted_fields(box: Sandbox, webhook: Webhook) -> None:
    _, made = box.request("POST", "/processor/payments", {"amount": "0.05", "count": 2, "rate": 100})
    assert [payment["acknowledged"] for payment in made["payments"]] == [True, True]
    headers, body = webhook.got[0]
    notice = json.loads(body)
    canonical = json.dumps(notice, sort_keys=True, separators=(",", ":")).encode()
    assert headers["x-nowpayments-sig"] == hmac.new(b"ipn", canonical, hashlib.sha512).hexdigest()
    assert canonical != body
    assert (notice["payment_status"], notice["actually_paid"], notice["pay_currency"]) == ("finished", "0.05", "eth")


def test_the_order_token_has_the_layout_that_the_bot_mints(box: Sandbox) -> None:
    _, made = box.request("POST", "/processor/payments", {"amount": "0.05", "notify": False})
    payment = made["payments"][0]
    token = payment["success_url"].partition("/?token=")[2]
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert hmac.new(b"success", data[:-16], hashlib.sha256).digest()[:16] == data[-16:]
    assert (data[0], data[1:17].decode()) == (1, payment["unique_id"])
    assert int.from_bytes(data[43:75], "big") == 5 * 10**16
    at, texts = 75, []
    while at < len(data) - 16:
        texts.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    assert texts == ["eth", payment["order"]["client_wallet"], "usdt", "eth"]
    assert box.get(f"/processor/payments/{payment['unique_id']}") == payment


def test_a_channel_that_is_asked_for_is_one_client(box: Sandbox) -> None:
    wish = {"amount": "0.05", "notify": False, "count": 2, "channel_id": -1009}
    _, made = box.request("POST", "/processor/payments", wish)
    orders = [payment["order"] for payment in made["payments"]]
    assert {order["channel_id"] for order in orders} == {-1009}
    assert len({order["client_wallet"] for order in orders}) == 1
    assert box.request("POST", "/processor/payments", {**wish, "channel_id": "x"})[0] == 400


def test_every_nth_notice_goes_out_three_times(box: Sandbox, webhook: Webhook) -> None:
    _, made = box.request(
        "POST", "/processor/payments", {"amount": "0.05", "count": 10, "rate": 200, "duplicate_every": 5}
    )
    assert sorted(len(payment["answers"]) for payment in made["payments"]) == [1, 1, 1, 1, 1, 1, 1, 1, 3, 3]
    assert len(webhook.got) == 14


def test_a_refused_notice_comes_again_until_it_is_taken(box: Sandbox, webhook: Webhook) -> None:
    webhook.answers = [500, 403]
    _, made = box.request("POST", "/processor/payments", {"amount": "0.05"})
    assert [answer["status"] for answer in made["payments"][0]["answers"]] == [500, 403, 200]
    webhook.answers = [400, 400]
    _, made = box.request("POST", "/processor/payments", {"amount": "0.05", "attempts": 2})
    assert (made["payments"][0]["acknowledged"], made["payments"][0]["copies"][0]["state"]) == (False, "given up")


def test_a_notice_that_nobody_took_outlives_the_sandbox(make: Callable[..., Sandbox], webhook: Webhook) -> None:
    box = make(webhook_url=webhook.url).start()
    box.request("POST", "/faults", {"target": "processor", "kind": "drop"})
    _, made = box.request("POST", "/processor/payments", {"amount": "0.05", "wait": False})
    unique_id = made["payments"][0]["unique_id"]
    until(lambda: box.get(f"/processor/payments/{unique_id}")["answers"], "a first attempt")
    box.stop(signal.SIGKILL)
    box.start()
    until(lambda: webhook.got, "the notice after the restart")
    until(lambda: box.get("/processor/sent")["webhooks"][0]["acknowledged"], "its answer on record")
    assert len(webhook.got) == 1


def test_a_wrong_request_names_the_key(box: Sandbox) -> None:
    for body, key in (
        ({"amount": "-1"}, "amount"),
        ({"amount": "0.05", "currency": "shells"}, "currency"),
        ({"amount": "0.05", "count": 0}, "count"),
        ({"amount": "0.05", "colour": "red"}, "colour"),
        ({"amount": "0.05", "payout_network": "moon"}, "payout_network"),
    ):
        status, refusal = box.request("POST", "/processor/payments", body)
        assert status == 400
        assert key in refusal["error"]


def test_the_bot_grants_access_and_counts_per_chat(box: Sandbox) -> None:
    status, invite = box.request("POST", "/telegram/bot1:token/createChatInviteLink", {"chat_id": -100, "name": "x"})
    assert (status, invite["ok"]) == (200, True)
    assert invite["result"]["invite_link"].startswith("https://t.me/+")
    assert box.request("POST", "/telegram/bot1:token/sendMessage", {"chat_id": 7, "text": "hello"})[0] == 200
    assert box.get("/telegram/bot1:token/getMe")["result"]["is_bot"] is True
    assert box.request("POST", "/telegram/bot1:token/sendMessage", {"chat_id": 7})[0] == 400
    assert box.request("POST", "/telegram/bot2:wrong/getMe")[0] == 401
    assert box.request("POST", "/telegram/bot1:token/banChat")[0] == 404
    sent = box.get("/telegram/sent")
    assert sent["chats"] == {"-100": {"createChatInviteLink": 1}, "7": {"sendMessage": 1}}
    assert len(sent["calls"]) == 6
