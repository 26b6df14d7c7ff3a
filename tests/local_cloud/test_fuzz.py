"""Whatever is sent to any emulated method, over REST or gRPC: an answer or a refusal, and a refusal changes nothing.

Found from the registry, so that a new API is tried by being there. SLUICE_FUZZ multiplies the dose.
"""

import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import methods
from local_cloud.errors import ApiError
from local_cloud.registry import Api, Binding, Door, discover
from local_cloud.running import Running
from local_cloud.server import calls
from local_cloud.server.grpc_door import parsed
from local_cloud.server.rest import RestDoor, build_router
from local_cloud.settings import Settings
from local_cloud.store import Collection
from tests.fidelity import pins
from tests.local_cloud import junk

pins(
    "front_end",
    "REST and gRPC",
    "Rubbish at any method: a refusal, never a 500, and what is refused has changed nothing",
    ours=True,
)

DOSE = int(os.environ.get("SLUICE_FUZZ", "1"))
HOME = f"projects/{junk.PROJECT}/locations/us-central1"
#: What a refused call may change: it is counted and recorded that it was made.
RECORDS = ("metrics.", "iam.usage", "iam.decisions", "logging.")
#: Moves the clock or waits by design; it has tests of its own.
LEFT_OUT = {"admin"}

APIS = [api.module for api in discover() if api.module not in LEFT_OUT]

#: The number of the call on whose behalf code runs: timers and tasks that it started inherit it.
_call: ContextVar[int] = ContextVar("call", default=0)


class Ledger:
    """Which call changed which document."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, str, str]] = []
        self.calls = 0

    @contextmanager
    def call(self) -> Iterator[int]:
        self.calls += 1
        token = _call.set(self.calls)
        yield self.calls
        _call.reset(token)

    def by(self, number: int) -> list[tuple[str, str]]:
        return [(name, key) for by, name, key in self.changes if by == number and not name.startswith(RECORDS)]

    def by_others(self, number: int) -> set[str]:
        return {name for by, name, _ in self.changes if by != number}


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    made = Ledger()
    for name in ("__setitem__", "save", "pop", "__delitem__"):
        original = getattr(Collection, name)

        def noted(self: Any, key: str, *more: Any, original: Any = original, pop: bool = name == "pop") -> Any:
            if not pop or key in self:
                made.changes.append((_call.get(), self.name, key))
            return original(self, key, *more)

        monkeypatch.setattr(Collection, name, noted)
    return made


@pytest.fixture
async def cloud(tmp_path: Path, ledger: Ledger) -> AsyncIterator[Cloud]:
    """A cloud with one of most things, named as junk.py names them."""
    async with Running(Settings(state=tmp_path / "cloud")) as running:
        ask = Door1(running.cloud, ledger)
        for path, sent in [
            (f"/v2/{HOME}/queues", {"name": f"{HOME}/queues/q"}),
            (f"/v2/{HOME}/queues/q:pause", {}),
            (
                f"/v2/{HOME}/queues/q/tasks",
                {"task": {"name": f"{HOME}/queues/q/tasks/x1", "httpRequest": {"url": "http://127.0.0.1:1/"}}},
            ),
            (f"/v1/projects/{junk.PROJECT}/secrets?secretId=q", {"replication": {"automatic": {}}}),
            (f"/v1/projects/{junk.PROJECT}/secrets/q:addVersion", {"payload": {"data": "eA=="}}),
            (f"/v1/projects/{junk.PROJECT}/serviceAccounts", {"accountId": "gcsplit"}),
        ]:
            status, answer = await ask("POST", path, json.dumps(sent).encode())
            assert status == 200, answer
        yield running.cloud


class Door1:
    """The owner's REST door without a socket."""

    def __init__(self, cloud: Cloud, ledger: Ledger) -> None:
        self._door = RestDoor(cloud, Door.OWNER, build_router(cloud))
        self._ledger = ledger
        self.number = 0

    async def __call__(self, verb: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        raw, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": verb,
            "scheme": "http",
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        status, answer = 0, b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(event: Any) -> None:
            nonlocal status, answer
            status = event.get("status", status)
            answer += event.get("body", b"")

        with self._ledger.call() as self.number:
            await self._door(scope, receive, send)
        return status, answer


def snapshot(cloud: Cloud) -> dict[str, dict[str, bytes]]:
    """Every document that stands in memory, as it would be written."""
    kept = {name: kept for name, kept in cloud.store._collections.items() if not name.startswith(RECORDS)}
    return {name: {key: one._encode(value) for key, value in one.items()} for name, one in kept.items()}


def unchanged(cloud: Cloud, ledger: Ledger, number: int, before: dict[str, dict[str, bytes]]) -> None:
    """A refused call has written nothing and has changed nothing in place."""
    assert ledger.by(number) == []
    background = ledger.by_others(number)
    now = snapshot(cloud)
    for name in set(before) | set(now):
        if name not in background:
            assert now.get(name, {}) == before.get(name, {}), name


def errors(cloud: Cloud) -> list[Any]:
    return [event for event in cloud.log.events if event["severity"] == "ERROR" and event.get("trace")]


def rest_bindings(api: Api) -> list[tuple[Binding, str, str, Any]]:
    """Binding, verb, template and the descriptor of the body."""
    found: list[tuple[Binding, str, str, Any]] = []
    for binding in [*api.rpcs.values(), *api.routes]:
        if binding.method is not None and (binding.method.server_streaming or binding.method.client_streaming):
            continue
        rules = [binding.route] if binding.route else list(binding.method.rules) if binding.method else []
        for rule in rules:
            kind = binding.method.request.DESCRIPTOR if binding.method else None
            if kind is not None and rule.body not in ("", "*"):
                kind = kind.fields_by_name[rule.body].message_type
            found.append((binding, rule.verb, rule.template, kind))
    return found


@pytest.mark.parametrize("module", APIS)
async def test_no_rest_call_makes_an_error_of_our_own_or_changes_anything_when_refused(
    cloud: Cloud, ledger: Ledger, module: str
) -> None:
    rng = random.Random(module)
    ask = Door1(cloud, ledger)
    api = next(api for api in cloud.apis if api.module == module)
    before, bindings = snapshot(cloud), rest_bindings(api)
    for binding, verb, template, kind in bindings * max(1, 240 * DOSE // max(1, len(bindings))):
        wild = rng.random() < 0.4
        sent = junk.body(rng, kind, wild=wild) if kind is not None else {"name": rng.choice(junk.TEXTS)}
        data = json.dumps(rng.choice(junk.WRONG) if wild and rng.random() < 0.1 else sent).encode()
        if wild and rng.random() < 0.1:
            data = data[: rng.randint(0, len(data))]
        path = junk.path(rng, template).replace("é", "%C3%A9").replace("**", "x")
        path += rng.choice(junk.QUERIES) if wild else junk.new_id(binding.method and binding.method.request.DESCRIPTOR)
        status, answer = await ask("POST" if verb == "*" else verb, path, data)
        assert status < 500 or status == 501, (binding.name, verb, path, data, answer)
        if status >= 400:
            unchanged(cloud, ledger, ask.number, before)
        ledger.changes.clear()
        before = snapshot(cloud)
    assert errors(cloud) == []


async def refused(cloud: Cloud, ledger: Ledger, binding: Binding, data: bytes) -> tuple[int, str] | None:
    """The call's number and code, where it is refused; what is no refusal is raised."""
    assert binding.method is not None
    with ledger.call() as number:
        try:
            await calls.invoke(cloud, Door.OWNER, binding, parsed(binding.method, data), {})
        except ApiError as error:
            return number, error.code
    return None


@pytest.mark.parametrize("module", [api.module for api in discover() if api.services])
async def test_no_message_makes_an_error_of_our_own_or_changes_anything_when_refused(
    cloud: Cloud, ledger: Ledger, module: str
) -> None:
    rng = random.Random(module)
    api = next(api for api in cloud.apis if api.module == module)
    found = [
        binding
        for service in api.services
        for method in methods(service).values()
        if (binding := api.rpcs.get(method.path)) and not (method.server_streaming or method.client_streaming)
    ]
    before = snapshot(cloud)
    for binding in found * max(1, 160 * DOSE // max(1, len(found))):
        assert binding.method is not None
        message = junk.fill(rng, binding.method.request.DESCRIPTOR, binding.method.request())
        data = message.SerializeToString()
        if rng.random() < 0.2:
            data = data[: rng.randint(0, len(data))]
        refusal = await refused(cloud, ledger, binding, data)
        if refusal is not None:
            number, code = refusal
            assert code not in ("INTERNAL", "UNKNOWN", "DATA_LOSS"), (binding.name, message)
            unchanged(cloud, ledger, number, before)
        ledger.changes.clear()
        before = snapshot(cloud)


@pins(
    "front_end",
    "REST and gRPC",
    "A malformed resource name over gRPC: INVALID_ARGUMENT, RESOURCE_PROJECT_INVALID",
    observed="public issue threads",
)
async def test_no_grpc_bytes_make_an_error_of_our_own(cloud: Cloud) -> None:
    rng = random.Random(1)
    paths = {path for api in cloud.apis for path, found in api.rpcs.items() if not found.method.server_streaming}  # type: ignore[union-attr]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['grpc']}") as channel:
        for path in sorted(paths):
            for size in (0, 3, 40):
                multi: Any = channel.unary_unary(path)
                call = multi(rng.randbytes(size), timeout=20)
                assert await call.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), path
    assert errors(cloud) == []
