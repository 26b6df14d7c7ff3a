"""Log-based metrics count lines that the services really write: all flows are played, and each metric must have found
its line in what they logged, with a number where it measures one and a value for each of its labels.

A field that is renamed in service_code, or in a file of dashboards/, breaks this and no alert falls silent by it.
"""

from __future__ import annotations

import ast
import json
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local_cloud.logs import extract, query
from local_cloud.logs.lines import entry_of_line
from service_code.kit import logs
from spec import System, load
from spec.log_lines import WRITERS
from tests.service_code import flow, paynow
from tests.service_code.conftest import Chain
from tests.service_code.outer import Rpc
from tests.service_code.test_register import invite, register
from tests.service_code.town import lived
from tests.service_code.window import FALLBACK, set_to
from tests.service_code.world import Running, World

ROOT = Path(__file__).parents[2]
#: Labels that only some of a metric's lines have.
SOMETIMES = {
    "payments_ended": {"way", "code", "stage"},
    "attempts": {"queue"},
    "outcomes": {"way", "first", "status", "code", "effect", "estimate", "registration", "paynow"},
    "request_seconds": {"estimate"},
    "token_age": {"status"},
}

_writer: ContextVar[str] = ContextVar("writer", default="")
Entry = dict[str, Any]


@cache
def system() -> System:
    return load(ROOT)


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """What Cloud Logging makes of the lines, each of the service that wrote it."""
    found: list[Entry] = []

    class Stream:
        def write(self, text: str) -> int:
            for line in text.splitlines():
                labels = {"service_name": _writer.get(), "location": "us-central1"}
                resource = {"type": "cloud_run_revision", "labels": labels}
                found.append({**entry_of_line(line, "stdout", "p"), "resource": resource})
            return len(text)

        def flush(self) -> None:
            return None

    request = Running.request

    async def told(self: Running, *args: Any, **named: Any) -> Any:
        token = _writer.set(self.kit.settings.service)
        try:
            return await request(self, *args, **named)
        finally:
            _writer.reset(token)

    monkeypatch.setattr(Running, "request", told)
    logs.configure("tested", "p", Stream())
    return found


async def trouble(world: World, rpc: Rpc) -> None:
    """What goes wrong now and then: tokens that are too old, tasks that cannot be made, and whoever is away."""
    set_to(world, FALLBACK)
    world.outer.tasks_status = 503
    await flow_of_lost_task(world)
    world.outer.tasks_status = 200
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        rpc.harm["eth_chainId"] = rpc.harm["eth_blockNumber"] = "away"
        assert (await payer.deliver(task)).status == 500
        rpc.harm.clear()
        world.outer.changenow_status = 503
        assert (await payer.deliver(task, 1)).status == 500
        world.outer.changenow_status = None
        world.clock.at += 120
        assert (await payer.deliver(task, 2)).json()["code"] == "TOKEN_EXPIRED"
        assert (await splitter.sweep("/fallback"))["sent"] == 1
        assert (await payer.request("POST", "/hostpay_webhook", b"{}")).status == 401
        world.clock.at += 86_400
        assert (await splitter.sweep())["dead"] >= 1
    async with world.run("gchostpay", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none") as cut_off:
        assert (await cut_off.deliver(task)).status == 500


async def flow_of_lost_task(world: World) -> None:
    """A payment whose split could not be queued."""
    with pytest.raises(ValueError, match="unpack"):
        await flow.received(world)


async def paynow_events(world: World) -> None:
    """An event that is credited, and one of a product that nobody knows."""
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        for event in (paynow.order(11), paynow.order(12, "no-such-product")):
            assert (await paynow.notify(webhook, event)).status == 200
        for message in paynow.waiting(world):
            await worker.push(message)


async def tried(world: World) -> None:
    """A release and routes are tried, a client registers."""
    shares = {"payout": 50, "estimate": 50, "split-hop": 100, "hostpay-hop": 50}
    world.rollout(shares, {"gcsplit": (10, "gcsplit-tried")})
    async with world.run("gcsplit") as splitter, world.run("gcregister") as registry:
        await splitter.sweep()
        assert (await register(registry, await invite(registry))).status == 201


async def test_each_metric_finds_the_lines_that_the_services_write(
    world: World, chain: Chain, rpc: Rpc, sql: Any, entries: list[Entry]
) -> None:
    async with AsyncExitStack() as stack:
        town = await lived(world, chain, sql, stack)
        await chain.mine(70)
        for name in ("gchostpay", "gchostpay3", "gcsplit", "gcsplit2"):
            await town.running[name].sweep()
    await paynow_events(world)
    await trouble(world, rpc)
    await tried(world)

    missing: dict[str, str] = {}
    for name, metric in system().metrics.items():
        matches = query.parse(metric.filter).matches
        found = [entry for entry in entries if matches(entry)]
        if not found:
            missing[name] = "no line matches"
            continue
        if metric.value is not None:
            number = extract.number_of(metric.value.google)
            if none := [entry for entry in found if number(entry) is None]:
                missing[name] = f"no number in {json.dumps(none[0]['jsonPayload'])}"
        for label, taken in metric.labels.items():
            values = [extract.text_of(taken.google)(entry) for entry in found]
            often = any if label in SOMETIMES.get(name, ()) else all
            if not often(value not in (None, "") for value in values):
                missing[name] = f"label {label} is empty in {json.dumps(found[values.index(None)]['jsonPayload'])}"
    assert missing == {}


def spoken() -> dict[str, set[str]]:
    """The events that the code logs, with the fields that stand beside each; a name stands for what it was given."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "service_code").rglob("*.py"):
        tree = ast.parse(path.read_text())
        given = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            fields = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
            for event in ast.walk(fields.get("what", ast.Constant(None))):
                text = event.value if isinstance(event, ast.Constant) else given.get(getattr(event, "id", ""))
                if isinstance(text, str):
                    found.setdefault(text, set()).update(fields)
    return found


def test_each_alert_on_a_log_line_names_an_event_and_fields_that_the_code_logs() -> None:
    said = spoken()
    #: Of the entry, or of every line of a request.
    always = {"unique_id", "queue", "event"}
    wrong = {}
    for name, alert in system().alerts.items():
        for condition in alert.conditions:
            if condition.log is None or condition.log.event is None or condition.log.resource not in WRITERS:
                continue  # what operators log is another room's
            for event in condition.log.event:
                labels = {taken.name for taken in condition.labels.values() if "." not in taken.name}
                if event not in said:
                    wrong[name] = f"nothing logs {event}"
                elif missing := labels - said[event] - always:
                    wrong[name] = f"{event} has no {missing}"
    assert wrong == {}
