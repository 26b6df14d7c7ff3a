"""The exchange moves real coins, and is as strict as the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.conftest import HOST, ROOT, Sandbox

FULL = 47_500_000_000_000_000
USDT_OUT = 141_075_000  # 0.0475 * 3000 * 0.99


def _erc20_balance(box: Sandbox, token: str, owner: str) -> int:
    data = "0x70a08231" + owner[2:].lower().rjust(64, "0")
    return int(box.rpc("eth_call", {"to": token, "data": data}, "latest"), 16)


def test_a_deposit_of_the_exact_amount_is_exchanged_and_paid_out(box: Sandbox) -> None:
    order = box.order(refundAddress=HOST.address, address="0x" + "a1" * 20)
    assert box.state(order["id"])["status"] == "waiting"
    paid = box.pay(order["payinAddress"], FULL)
    done = box.reaches(order["id"], "finished")
    assert done["payinHash"] == paid
    assert (done["amountFrom"], done["amountTo"]) == (0.0475, 141.075)
    assert int(box.receipt(done["payoutHash"])["status"], 16) == 1
    token = box.get("/status")["exchange"]["tokens"]["usdt"]
    assert _erc20_balance(box, token, order["payoutAddress"]) == USDT_OUT


def test_an_estimate_keeps_its_rate_by_id_for_twenty_minutes(make: Callable[..., Sandbox]) -> None:
    box = make().start()
    query = "?fromCurrency=eth&toCurrency=usdt&fromNetwork=eth&toNetwork=eth&fromAmount=0.0475&flow=fixed-rate"
    status, rate = box.exchange("GET", f"/estimated-amount{query}&useRateId=true")
    assert (status, rate["toAmount"], rate["flow"]) == (200, 141.075, "fixed-rate")
    assert box.order(rateId=rate["rateId"])["toAmount"] == 141.075
    box.move_clock(20 * 60 + 5)
    status, refusal = box.exchange("POST", "", {
        "fromCurrency": "eth", "toCurrency": "usdt", "fromAmount": "0.0475", "flow": "fixed-rate",
        "address": "0x" + "ab" * 20, "rateId": rate["rateId"],
    })  # fmt: skip
    assert (status, refusal["error"]) == (400, "rate_id_not_found_or_expired")


@pytest.mark.parametrize("wei", [FULL - 1, FULL + 1], ids=["too little", "too much"])
def test_a_fixed_rate_takes_exactly_its_amount_and_sends_back_what_differs(box: Sandbox, wei: int) -> None:
    back = "0x" + f"{wei:040x}"
    order = box.order(refundAddress=back)
    box.pay(order["payinAddress"], wei)
    done = box.reaches(order["id"], "refunded")
    box.receipt(done["refundHash"])
    assert int(box.rpc("eth_getBalance", back, "latest"), 16) == wei - 21000 * 10**9


def test_without_a_refund_address_a_wrong_deposit_waits_for_a_human(box: Sandbox) -> None:
    order = box.order()
    box.pay(order["payinAddress"], FULL - 1)
    assert box.reaches(order["id"], "failed")["actionsAvailable"] is True


def test_a_standard_order_is_worth_what_came(box: Sandbox) -> None:
    order = box.order(flow="standard")
    box.pay(order["payinAddress"], 10**17)
    assert box.reaches(order["id"], "finished")["amountTo"] == 298.5


def test_a_fixed_rate_that_nobody_paid_expires(make: Callable[..., Sandbox]) -> None:
    box = make().start()
    order = box.order()
    box.move_clock(20 * 60 + 5)
    assert box.state(order["id"])["status"] == "expired"
    late = box.order(refundAddress=HOST.address)
    box.move_clock(2 * (20 * 60 + 5))
    box.request("POST", "/chain/mine")
    box.pay(late["payinAddress"], FULL)
    assert box.reaches(late["id"], "refunded")["payoutHash"] is None


def test_a_payment_paid_twice_can_be_seen(box: Sandbox) -> None:
    order = box.order()
    first, second = box.pay(order["payinAddress"], FULL), box.pay(order["payinAddress"], FULL)
    box.receipt(second)
    box.reaches(order["id"], "finished")
    record = next(row for row in box.get("/exchange/records")["exchanges"] if row["id"] == order["id"])
    assert [deposit["hash"] for deposit in record["deposits"]] == [first, second]
    assert box.state(order["id"])["repeatedExchangesInfo"] == [{"payinHash": second, "amountFrom": 0.0475}]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"fromAmount": "0.0000001"}, 400, "out_of_range"),
        ({"fromAmount": "1000000"}, 400, "out_of_range"),
        ({"fromAmount": "many"}, 400, "bad_request"),
        ({"fromAmount": "0.0000000000000000001"}, 400, "bad_request"),
        ({"toCurrency": "eth"}, 400, "pair_is_inactive"),
        ({"toCurrency": "shells"}, 404, "not_found"),
        ({"address": "0x12"}, 400, "not_valid_address"),
        ({"address": None}, 400, "bad_request"),
        ({"flow": "slow"}, 400, "bad_request"),
        ({"rateId": "unknown"}, 400, "rate_id_not_found_or_expired"),
    ],
)
def test_a_wrong_order_is_refused_in_the_exchanges_words(
    box: Sandbox, changes: dict[str, Any], status: int, error: str
) -> None:
    wanted = {
        "fromCurrency": "eth", "toCurrency": "usdt", "fromNetwork": "eth", "toNetwork": "eth",
        "fromAmount": "0.0475", "address": "0x" + "ab" * 20, "flow": "fixed-rate",
    }  # fmt: skip
    got, body = box.exchange("POST", "", wanted | changes)
    assert (got, body["error"]) == (status, error)
    assert body["message"]


def test_estimates_name_the_range_and_strangers_get_nothing(box: Sandbox) -> None:
    query = "/estimated-amount?fromCurrency=eth&toCurrency=usdt&fromAmount=0.0001"
    status, body = box.exchange("GET", query)
    assert (status, body["error"]) == (400, "deposit_too_small")
    assert body["payload"]["range"] == {"minAmount": 0.001, "maxAmount": 1000}
    assert box.request("GET", "/changenow/v2/exchange" + query)[0] == 401
    assert box.exchange("GET", "/by-id?id=none")[0] == 404
    assert box.exchange("GET", "/range?fromCurrency=eth&toCurrency=usdt")[1]["minAmount"] == 0.001


def _transfer(box: Sandbox, token: str, to: str, units: int) -> str:
    """A token's transfer from the host wallet."""
    signed = HOST.sign_transaction({
        "type": 2, "chainId": 31337, "to": bytes.fromhex(token[2:]), "value": 0, "gas": 120_000,
        "nonce": int(box.rpc("eth_getTransactionCount", HOST.address, "pending"), 16),
        "data": bytes.fromhex("a9059cbb" + to[2:].lower().rjust(64, "0") + f"{units:064x}"),
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    })  # fmt: skip
    return str(box.rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex()))


def test_usdt_answers_nothing_as_the_real_one_is_taken_in_and_stands_where_config_says(box: Sandbox) -> None:
    tokens = box.get("/status")["exchange"]["tokens"]
    assert f'USDT_CONTRACT: "{tokens["usdt"]}"' in (ROOT / "stacks/Pulumi.local.yaml").read_text()
    data = "0xa9059cbb" + f"{1:064x}" + f"{1:064x}"
    assert box.rpc("eth_call", {"from": HOST.address, "to": tokens["usdt"], "data": data}, "latest") == "0x"
    order = box.order(fromCurrency="usdt", toCurrency="eth", fromAmount="150", address="0x" + "a2" * 20)
    wrong = box.order(fromCurrency="usdc", toCurrency="eth", fromAmount="150", address="0x" + "a3" * 20)
    before = _erc20_balance(box, tokens["usdt"], HOST.address)
    _transfer(box, tokens["usdt"], wrong["payinAddress"], 150_000_000)
    paid = _transfer(box, tokens["usdt"], order["payinAddress"], 150_000_000)
    done = box.reaches(order["id"], "finished")
    assert (done["payinHash"], done["amountFrom"], done["amountTo"]) == (paid, 150, 0.0495)
    assert int(box.rpc("eth_getBalance", "0x" + "a2" * 20, "latest"), 16) == 495 * 10**14
    assert box.state(wrong["id"])["status"] == "waiting"
    assert int(box.get("/status")["host_wallet"]["tokens"]["usdt"]) == before - 300_000_000
