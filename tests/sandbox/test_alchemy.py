"""The chain tells of the host wallet as Alchemy does: signed, again until it is taken, taken back with its block."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import HOST, Sandbox, Webhook, until

KEY = "whsec_of_a_sandbox"
SOMEBODY = "0x" + "ab" * 20


@pytest.fixture
def box(tmp_path: Path, webhook: Webhook) -> Iterator[Sandbox]:
    """A sandbox whose Alchemy knows the webhook."""
    one = Sandbox(tmp_path, alchemy_signing_key=f"{KEY}\nan-older-key", alchemy_url=f"{webhook.url}/").start()
    yield one
    one.stop()


def got(webhook: Webhook, kind: str) -> list[dict[str, Any]]:
    """The events of a kind that arrived with a good signature."""
    found = []
    for headers, raw in list(webhook.got):
        signature = hmac.new(KEY.encode(), raw, hashlib.sha256).hexdigest()
        body = json.loads(raw)
        if body["type"] == kind and headers["x-alchemy-signature"] == signature:
            found.append(body)
    return found


def first(webhook: Webhook, kind: str, count: int = 1) -> list[dict[str, Any]]:
    return until(lambda: found if len(found := got(webhook, kind)) >= count else None, f"{count} {kind}")


def test_a_payout_is_told_of_and_taken_back_with_its_block(box: Sandbox, webhook: Webhook) -> None:
    tx_hash = box.pay(SOMEBODY, 10**16)
    block = box.receipt(tx_hash)["blockNumber"]
    (told,) = first(webhook, "ADDRESS_ACTIVITY")
    (activity,) = told["event"]["activity"]
    assert (activity["hash"], activity["blockNum"], activity["category"]) == (tx_hash, block, "external")
    assert (activity["fromAddress"], activity["toAddress"]) == (HOST.address.lower(), SOMEBODY)
    assert (activity["value"], activity["rawContract"]["rawValue"]) == (0.01, hex(10**16))
    (mined,) = first(webhook, "MINED_TRANSACTION")
    assert (mined["event"]["transaction"]["hash"], mined["event"]["transaction"]["blockNumber"]) == (tx_hash, block)
    assert mined["id"].startswith("whevt_")
    assert mined["webhookId"] != told["webhookId"]

    assert box.request("POST", "/chain/reorg", {"block": int(block, 16)})[0] == 200
    _, back, anew = first(webhook, "ADDRESS_ACTIVITY", 3)
    assert [one["event"]["activity"][0].get("log", {}).get("removed") for one in (back, anew)] == [True, None]
    assert back["event"]["activity"][0]["blockNum"] == block
    assert anew["event"]["activity"][0]["hash"] == tx_hash
    assert int(anew["event"]["activity"][0]["blockNum"], 16) > int(block, 16)
    assert len({one["id"] for one in (told, back, anew)}) == 3
    assert box.request("POST", "/chain/reorg", {"depth": 0})[0] == 400


def test_a_dropped_transaction_is_told_of_once(box: Sandbox, webhook: Webhook) -> None:
    box.request("POST", "/faults", {"target": "chain", "kind": "hold", "method": "mine"})
    tx_hash = box.pay(SOMEBODY, 1)
    assert box.request("POST", "/chain/drop", {"hash": tx_hash}) == (200, {"dropped": True})
    assert box.request("POST", "/chain/drop", {"hash": tx_hash}) == (200, {"dropped": False})
    for _ in range(3):
        box.request("POST", "/chain/mine")
    (told,) = first(webhook, "DROPPED_TRANSACTION")
    assert told["event"]["transaction"]["hash"] == tx_hash
    box.request("DELETE", "/faults")
    box.receipt(box.pay(SOMEBODY, 2))
    first(webhook, "MINED_TRANSACTION")
    assert len(got(webhook, "DROPPED_TRANSACTION")) == 1


def test_what_is_not_taken_is_sent_again_by_the_clock_and_faults_are_as_asked(
    make: Callable[..., Sandbox], webhook: Webhook
) -> None:
    box = make(alchemy_signing_key=KEY, alchemy_url=webhook.url, alchemy_webhooks=["MINED_TRANSACTION"]).start()

    def fault(kind: str) -> None:
        wish = {"target": "alchemy", "kind": kind, "count": 1}
        assert box.request("POST", "/faults", wish)[0] == 201

    def record() -> list[dict[str, Any]]:
        return list(box.get("/alchemy/sent")["events"])

    fault("bad_signature")
    webhook.answers = [401]
    box.pay(SOMEBODY, 1)
    until(lambda: [one for one in record() if one["attempts"] == 1] or None, "a refused attempt")
    assert got(webhook, "MINED_TRANSACTION") == []
    box.move_clock(16.0)
    first(webhook, "MINED_TRANSACTION")
    until(lambda: [one for one in record() if one["state"] == "delivered"] or None, "its delivery")

    fault("duplicate")
    box.pay(SOMEBODY, 2)
    _, one, other = first(webhook, "MINED_TRANSACTION", 3)
    assert one == other

    fault("reorder")
    late = box.pay(SOMEBODY, 3)
    box.receipt(late)
    box.pay(SOMEBODY, 4)
    *_, before_last, last = first(webhook, "MINED_TRANSACTION", 5)
    values = [one["event"]["transaction"]["value"] for one in (before_last, last)]
    assert values == ["0x4", "0x3"]
    assert box.request("POST", "/faults", {"target": "processor", "kind": "reorder"})[0] == 400
