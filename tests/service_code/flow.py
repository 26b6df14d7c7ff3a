"""Ways to bring a payment to where a test begins."""

from __future__ import annotations

from typing import Any

from service_code.kit.clock import from_millis
from service_code.kit.money import Amount
from service_code.kit.orders import PendingHostPay
from service_code.kit.tokens import HostPayClaim, Purpose, Tokens
from tests.service_code.notices import ipn, notify, order
from tests.service_code.outer import Task
from tests.service_code.world import SECRETS, Running, World

ETH = 10**18


async def received(world: World, units: int = ETH // 20, currency: str = "eth", **more: Any) -> tuple[str, Task]:
    """Have a payment recorded; its id and its split task."""
    sold = order(world, amount=Amount(currency=currency, units=units), **more)
    async with world.run("gcwebhook") as webhook:
        assert (await notify(webhook, ipn(world, sold)))[0] == 200
    world.outer.take("channel-access-queue")
    (task,) = world.outer.take("split-payment-queue")
    return sold.unique_id, task


async def split(world: World, units: int = ETH // 20, currency: str = "eth") -> tuple[str, Task]:
    """Have a payment split; its id and its host payment's task."""
    unique_id, task = await received(world, units, currency)
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task)).json() == {"status": "next"}
    (pay,) = world.outer.take("hostpay-execution-queue")
    return unique_id, pay


def share(units: int) -> int:
    return units * 95 // 100


def tokens(purpose: Purpose = Purpose.HOSTPAY_EXECUTION, key: str | None = None) -> Tokens[HostPayClaim]:
    return Tokens(key or SECRETS["TPS_HOSTPAY_SIGNING_KEY"], purpose, HostPayClaim)


def claim(world: World, pending: PendingHostPay | None = None, **more: Any) -> HostPayClaim:
    fields: dict[str, Any] = {
        "unique_id": world.unique_id(),
        "cn_api_id": "cn000000000000",
        "amount": Amount(currency="eth", units=ETH // 100),
        "network": "eth",
        "payin_address": "0x" + "ab" * 20,
        "issued_at": from_millis(round(world.clock.at * 1000)),
    }
    return HostPayClaim(**{**fields, **more})


def pay_task(token: str) -> Task:
    """Make a host payment's task around any token."""
    import json

    return Task(
        queue="hostpay-execution-queue",
        name="made-by-hand",
        url="https://gchostpay-1.us-central1.run.app/hostpay_webhook",
        body=json.dumps({"message": "HostPayOrder", "version": 1, "token": token}).encode(),
        headers={"Content-Type": "application/json"},
        audience="https://gchostpay-1.us-central1.run.app",
        invoker="invoker@p.iam.gserviceaccount.com",
    )


async def confirm_all(world: World, payer: Running) -> None:
    """Deliver every confirmation that waits."""
    for task in world.outer.take("hostpay-confirm-queue"):
        answer = await payer.deliver(task)
        assert answer.status == 200, answer.text


async def balances(sql: Any, currency: str = "eth") -> dict[str, int]:
    """The ledger's accounts in a currency."""
    rows = await sql.fetch(
        "SELECT account, sum(amount) AS balance FROM ledger_entries WHERE currency = $1 GROUP BY account", currency
    )
    return {row["account"]: row["balance"] for row in rows}


def alerts(lines: list[dict[str, Any]], event: str) -> int:
    """How often something was logged that wakes a person."""
    return sum(line.get("event") == event and line["severity"] == "ERROR" for line in lines)


async def rows(sql: Any) -> list[tuple[Any, ...]]:
    """The payouts in the order of their nonces: payment, status, nonce."""
    found = await sql.fetch("SELECT unique_id, status, nonce FROM split_payout_hostpay ORDER BY nonce")
    return [tuple(row) for row in found]
