"""The kit's doors: who may call, how much, how often, and what is said of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from service_code.kit import app as app_module
from service_code.kit import logs
from service_code.kit.batch import Batcher
from service_code.kit.clock import open_clock
from service_code.kit.db import OverloadedError
from service_code.kit.logs import FIELDS
from service_code.kit.routes import Routes
from service_code.kit.settings import SettingsError, read
from tests.service_code import flow
from tests.service_code.world import INVOKER, OPERATOR, World

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        ({"aud": "https://gcwebhook-1.us-central1.run.app"}, 401),
        ({"iss": "https://accounts.example.com"}, 401),
        ({"exp": 1_700_000_000}, 401),
        ({"iat": 1_900_000_000}, 401),
        ({"email": OPERATOR}, 403),
        ({"email": "invoker@p.iam.gserviceaccount.com.example.com"}, 403),
        ({"email_verified": False}, 403),
        ({"email_verified": "true"}, 403),
        ({"email": None}, 403),
    ],
)
async def test_only_the_named_caller_with_a_token_for_this_service_is_let_in(
    world: World, claims: dict[str, Any], status: int
) -> None:
    _, task = await flow.received(world)
    token = world.token("gcsplit", **{"email": INVOKER, **claims})
    async with world.run("gcsplit") as service:
        answer = await service.request("POST", "/process_split", task.body, Authorization=f"Bearer {token}")
    assert answer.status == status, answer.text


async def test_a_token_is_needed_and_must_be_googles(world: World, sql: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    _, task = await flow.received(world)
    good = world.token("gcsplit", INVOKER)
    key, world.outer.key = world.outer.key, rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = world.token("gcsplit", INVOKER)
    world.outer.key = key
    head, body, _ = good.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    async with world.run("gcsplit") as service:
        for header in (
            "",
            "Basic x",
            "Bearer",
            "Bearer x",
            f"Bearer {forged}",
            f"Bearer {head}.{body}.",
            f"Bearer {none}.{body}.",
        ):
            answer = await service.request("POST", "/process_split", task.body, Authorization=header)
            assert (answer.status, "error" in answer.json()) == (401, True), header
        assert (await service.request("POST", "/sweep")).status == 401
        assert (await service.request("GET", "/dead")).status == 401
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 0


async def test_a_signature_that_cloud_run_took_away_is_believed_only_behind_a_closed_door(world: World) -> None:
    _, task = await flow.received(world)

    def stripped(service: str, email: str = INVOKER) -> str:
        return world.token(service, email).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"

    async with world.run("gcsplit") as split, world.run("gcwebhook") as public:
        token = f"Bearer {stripped('gcsplit')}"
        assert (await split.request("POST", "/process_split", task.body, Authorization=token)).status == 200
        token = f"Bearer {stripped('gcwebhook')}"
        assert (await split.request("POST", "/process_split", task.body, Authorization=token)).status == 401
        assert (await public.request("POST", "/sweep", Authorization=token)).status == 401


async def test_the_header_that_cloud_run_judged_is_the_one_that_counts(world: World) -> None:
    def stripped(email: str) -> str:
        return "Bearer " + world.token("gcsplit", email).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"

    operator, invoker = stripped(OPERATOR), stripped(INVOKER)
    async with world.run("gcsplit") as split:
        forged = {"X_Serverless_Authorization": invoker, "Authorization": operator}
        assert (await split.request("GET", "/dead", b"", **forged)).status == 403
        for judged in ("", "Bearer ", "Basic x", "Bearer x.y.z"):
            forged = {"X_Serverless_Authorization": judged, "Authorization": operator}
            assert (await split.request("GET", "/dead", b"", **forged)).status == 401, judged
        honest = {"X_Serverless_Authorization": operator, "Authorization": "Bearer of the application"}
        assert (await split.request("GET", "/dead", b"", **honest)).status == 200


async def test_a_key_set_that_cannot_be_read_is_asked_for_once_by_many_and_not_at_once_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    async with world.run("gcsplit") as service:
        call = service.kit.outside.call

        async def count(method: str, url: str, **more: Any) -> Any:
            if url.endswith("/certs"):
                asked.append(url)
            return await call(method, url if not url.endswith("/certs") else "http://127.0.0.1:9/certs", **more)

        monkeypatch.setattr(service.kit.outside, "call", count)
        token = {"Authorization": f"Bearer {world.token('gcsplit', INVOKER)}"}
        answers = await asyncio.gather(*(service.request("POST", "/sweep", b"", **token) for _ in range(5)))
        again = await service.request("POST", "/sweep", b"", **token)

    assert [answer.status for answer in (*answers, again)] == [500] * 6
    assert len(asked) == 1


async def test_keys_are_fetched_anew_for_an_unknown_one_and_kept_when_they_cannot_be(world: World) -> None:
    async with world.run("gcsplit") as service:
        await service.sweep()
        url, world.outer.port = world.outer.url, 9
        await service.sweep()  # the key is known: nobody is asked
        assert url != world.outer.url
    async with world.run("gcsplit") as service:
        token = world.token("gcsplit", INVOKER)
        assert (await service.request("POST", "/sweep", Authorization=f"Bearer {token}")).status == 500


async def test_too_many_requests_at_once_are_overload(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "MAX_IN_FLIGHT", 0)
    async with world.run("gcwebhook") as service:
        assert (await service.post("/", b"{}")).status == 429


async def test_every_line_has_every_field_and_no_secret_token_or_address(
    world: World, log_lines: list[dict[str, Any]]
) -> None:
    from tests.service_code.world import SECRETS

    unique_id, task = await flow.split(world)
    async with world.run("gchostpay") as payer:  # no chain: the node is away
        assert (await payer.deliver(task, 2)).status == 500
    text = json.dumps(log_lines)
    for line in log_lines:
        assert set(FIELDS) <= set(line)
    for hidden in (*SECRETS.values(), world.wallet.key.hex(), task.json()["token"], "0x" + "cd" * 20, world.rpc, "@"):
        assert hidden not in text
    (handled,) = [line for line in log_lines if line["message"] == "handled" and line["endpoint"] == "/hostpay_webhook"]
    assert (handled["unique_id"], handled["attempt_number"], handled["status"]) == (unique_id, 3, "retry")
    assert handled["token_age"] == 0
    assert handled["trace"] == task.headers["traceparent"].split("-")[1]
    assert len({line["trace"] for line in log_lines if line["unique_id"] == unique_id}) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"TPS_HOSTPAY_SIGNING_KEY": ""}, "secret TPS_HOSTPAY_SIGNING_KEY is not set"),
        ({"CHANGENOW_API_KEY": "short"}, "secret CHANGENOW_API_KEY has 5 characters, it needs at least 16"),
        ({"SLUICE_STACK": "prod"}, "which only the local stack may do"),
        ({"SLUICE_STACK": "mars"}, "SLUICE_STACK"),
        ({"ENDPOINTS": '{"bank": "x"}'}, "unknown keys bank"),
        ({"QUEUES": "[]"}, "QUEUES is not a JSON object"),
        ({"QUEUES": '{"q": {}}'}, "QUEUES"),
        ({"SERVICE_URL": ""}, "SERVICE_URL is not set"),
        ({"PORT": "many"}, "PORT"),
    ],
)
def test_a_wrong_environment_is_refused_at_start_with_its_name(change: dict[str, str], named: str) -> None:
    from service_code.gcsplit.app import SECRETS
    from tests.service_code.outer import Outer
    from tests.service_code.world import Clock

    environ = World(Outer(), "postgresql://{user}@127.0.0.1/x", "", Clock()).environ("gcsplit", **change)
    with pytest.raises(SettingsError, match=named):
        read("gcsplit", environ, SECRETS)


def start(environ: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "service_code.kit.main", *arguments]
    return subprocess.Popen(
        command, env={"PATH": os.environ["PATH"], **environ}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_service_that_cannot_start_says_why_and_a_wrong_name_lists_the_services() -> None:
    refused = start({"SLUICE_STACK": "prod", "ENDPOINTS": '{"clock": "file:///x"}'}, "gchostpay")
    _, complaint = refused.communicate(timeout=60)
    assert refused.returncode == 1
    for part in (b"HOST_WALLET_PRIVATE_KEY is not set", b"overrides clock", b"DATABASE_URL is not set"):
        assert part in complaint
    for arguments in ([], ["gcbank"], ["../x"], ["kit"]):
        wrong = start({}, *arguments)
        _, complaint = wrong.communicate(timeout=60)
        listed = b"gchostpay3, gchostpay4, gcmicrobatchprocessor, gcregister, gcsplit, gcsplit2, gcwebhook" in complaint
        assert (wrong.returncode, listed) == (2, True)


def health_status(port: int) -> int | None:
    for _ in range(2000):
        try:
            return int(urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status)
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:  # not listening yet
            continue
    return None


def test_a_service_process_serves_and_drains_on_sigterm(tmp_path: Path) -> None:
    import socket

    from tests.service_code.outer import Outer
    from tests.service_code.world import Clock

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = World(Outer(), "postgresql://{user}@127.0.0.1:9/x", "http://127.0.0.1:9", Clock())
    process = start(world.environ("gcwebhook", PORT=str(port)), "gcwebhook")
    assert process.stdout is not None
    assert b'"serving"' in process.stdout.readline()
    assert health_status(port) == 503
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert b'"stopped"' in out
    assert process.returncode in (0, -signal.SIGTERM)


def test_the_clock_follows_its_file(tmp_path: Path) -> None:
    import time

    path = tmp_path / "clock"
    path.write_bytes(struct.pack("<d", 0.0))
    clock = open_clock(path.as_uri())
    assert abs(clock.seconds() - time.time()) < 5
    with path.open("r+b") as file:
        file.write(struct.pack("<d", 86_400.0))
    assert abs(clock.seconds() - time.time() - 86_400) < 600
    assert abs(open_clock(None).seconds() - time.time()) < 5


async def test_a_batch_flushes_together_and_a_bad_item_spoils_only_itself() -> None:
    flushed: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        flushed.append(items)
        await asyncio.sleep(0)
        if 13 in items:
            raise ValueError("thirteen")
        return [item * 2 for item in items]

    batcher = Batcher(flush, largest=8)
    results = await asyncio.gather(*(batcher.submit(n) for n in range(20)), return_exceptions=True)
    assert [result for result in results if not isinstance(result, ValueError)] == [2 * n for n in range(20) if n != 13]
    assert isinstance(results[13], ValueError)
    assert max(len(items) for items in flushed) == 8
    assert await batcher.submit(5) == 10


async def test_a_batch_fails_as_a_whole_where_no_item_is_to_blame() -> None:
    flushed: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        flushed.append(items)
        raise errors[0]

    for errors in ([OverloadedError("full")], [TimeoutError()], [ConnectionResetError()]):
        flushed.clear()
        batcher = Batcher(flush)
        results = await asyncio.gather(*(batcher.submit(n) for n in range(20)), return_exceptions=True)
        assert results == errors * 20
        assert len(flushed) == 1


async def test_a_flush_carries_no_requests_log_context() -> None:
    seen: list[Any] = []

    async def flush(items: list[int]) -> list[int]:
        seen.append(logs.current("unique_id"))
        return items

    logs.begin(unique_id="the first caller's")
    assert await Batcher(flush).submit(1) == 1
    assert seen == [None]


async def test_health_waits_for_no_slow_component_and_takes_its_answer_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()
    asked: list[str] = []
    database = app_module.App._database

    async def slow(self: Any) -> None:
        asked.append("database")
        await go.wait()
        await database(self)

    monkeypatch.setattr(app_module, "HEALTH_LIVES", -1.0)
    monkeypatch.setattr(app_module.App, "_database", slow)
    async with world.run("gcwebhook") as service:
        began = asyncio.get_running_loop().time()
        answer = await service.request("GET", "/health")
        assert (answer.status, answer.json()["components"]) == (503, {"database": {"status": "down"}})
        assert asyncio.get_running_loop().time() - began < 0.9
        go.set()
        assert (await service.request("GET", "/health")).status == 200
    assert asked == ["database"]


def test_two_lists_of_doors_are_the_ones_of_the_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a service declares and what its service.yaml promises must be the same doors."""
    import importlib

    import yaml

    from service_code.kit.main import services
    from service_code.kit.runtime import Kit
    from tests.service_code.outer import Outer
    from tests.service_code.world import Clock, StaticAccess

    for name in services():
        module = importlib.import_module(f"service_code.{name}.app")
        chosen: dict[str, str] = {}
        monkeypatch.setattr(Routes, "need", lambda _, route, choice, chosen=chosen: chosen.update({route: choice}))
        environ = World(Outer(), "postgresql://{user}@127.0.0.1/x", "", Clock()).environ(
            name, ETHEREUM_RPC_URL="http://127.0.0.1:9"
        )
        stateless = getattr(module, "STATELESS", False)
        kit = Kit(read(name, environ, module.SECRETS, stateless=stateless), access=StaticAccess())
        declared = module.service(kit)
        spec = yaml.safe_load((ROOT / "service_code" / name / "service.yaml").read_text())
        doors = (*declared.handlers, *declared.subscriptions)
        assert {one.path: one.message.__name__ for one in doors} == spec.get("handles", {})
        assert {one.path for one in declared.schedules} == {one["path"] for one in spec.get("schedules", {}).values()}
        assert {one.path for one in declared.operator} | {"/health"} == set(spec.get("operator_paths", [])) | {
            "/health"
        }
        assert {one.path for one in declared.public} | {"/health"} == set(spec.get("public", [])) | {"/health"}
        assert set(module.SECRETS) == set(spec.get("secrets", []))
        assert bool(spec.get("database")) is not stateless
        assert chosen == spec.get("chooses", {})
