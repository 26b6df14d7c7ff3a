"""PayNow signs what it sends, sends in order, repeats until it is taken, and fails on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.conftest import Sandbox, Webhook


@pytest.fixture
def box(tmp_path: Path, webhook: Webhook) -> Iterator[Sandbox]:
    """A sandbox whose PayNow knows the webhook."""
    one = Sandbox(tmp_path, paynow_webhook_secret="pn-secret", paynow_url=f"{webhook.url}/hook").start()
    yield one
    one.stop()


def test_every_event_is_signed_in_order_repeated_and_faulted_as_asked(box: Sandbox, webhook: Webhook) -> None:
    webhook.answers = [500, 200]
    status, made = box.request("POST", "/paynow/events", {"count": 2, "customer": "c1", "user": "u1"})
    assert status == 200
    first, again, second = webhook.got
    assert [answer["status"] for answer in made["events"][0]["answers"][0]] == [500, 200]
    assert (first[1], json.loads(second[1])["event_id"]) == (again[1], made["events"][1]["event_id"])
    headers, body = second
    signed = headers["paynow-timestamp"].encode() + b"." + body
    signature = base64.b64encode(hmac.new(b"pn-secret", signed, hashlib.sha256).digest()).decode()
    assert headers["paynow-signature"] == signature
    assert json.loads(body)["body"]["customer"]["metadata"] == {"uid": "u1"}

    box.request("POST", "/faults", {"target": "paynow", "kind": "lost_answer", "count": 1})
    _, made = box.request("POST", "/paynow/events", {"kind": "renewed", "product": "monthly", "copies": 2})
    assert len(webhook.got) == 3 + 3  # two copies, one of them again since its answer was lost
    assert {json.loads(body)["event_type"] for _, body in webhook.got[3:]} == {"ON_SUBSCRIPTION_RENEWED"}
    assert len({body for _, body in webhook.got[3:]}) == 1

    assert box.request("POST", "/paynow/events", {"kind": "gift"})[0] == 400
