"""Cloud Run's front door beyond the everyday request: ingress, streams, WebSockets, sessions, limits."""

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.cloud import run_v2

from local_cloud.run import bodies
from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT
from tests.local_cloud.image import until
from tests.local_cloud.run_client import NUMBER, Answer, Runner, done, http

INTERNAL = run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_ONLY
BALANCED = run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER
NONE = run_v2.IngressTraffic.INGRESS_TRAFFIC_NONE


@pytest.fixture(scope="module")
def plain(run: Runner) -> Any:
    """A service that anybody may call."""
    return run.create("plain", session_affinity=True, max_instance_request_concurrency=2)


def entries(run: Runner, service: str) -> list[dict[str, Any]]:
    wanted = f'resource.labels.service_name="{service}" AND logName:"requests"'
    body = json.dumps({"resourceNames": [f"projects/{PROJECT}"], "filter": wanted}).encode()
    return http(f"{run.place.rest}/v2/entries:list", method="POST", body=body).json.get("entries", [])  # type: ignore[no-any-return]


@pins(
    "run",
    "The front door",
    "Ingress INTERNAL_ONLY and INTERNAL_LOAD_BALANCER let in Cloud Tasks, Cloud Scheduler and the services' door; "
    "at the owner's door they are a 404 page, without an entry in the log",
    documented="Ingress",
    ours="there is no load balancer",
)
@pytest.mark.parametrize("ingress", [INTERNAL, BALANCED])
def test_internal_services_are_reached_from_inside_alone(run: Runner, ingress: run_v2.IngressTraffic) -> None:
    service_id = f"inner-{int(ingress)}"
    service = run.service(service_id)
    service.ingress = ingress
    made = done(run.services.create_service(parent=PARENT, service=service, service_id=service_id))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    outside = http(made.uri)
    assert (outside.status, b"Page not found" in outside.body) == (404, True)
    assert b"services' door" in outside.body
    assert http(made.uri.replace(str(run.place.ports["rest"]), str(run.place.ports["service_rest"]), 1)).status == 200
    base = f"{run.place.rest}/v2/projects/{PROJECT}/locations/{LOCATION}/queues"
    name = f"projects/{PROJECT}/locations/{LOCATION}/queues/{service_id}"
    assert http(base, method="POST", body=json.dumps({"name": name}).encode()).status == 200
    task = {"task": {"httpRequest": {"url": f"{made.uri}/from-a-task"}}}
    assert http(f"{base}/{service_id}/tasks", method="POST", body=json.dumps(task).encode()).status == 200
    asyncio.run(until(lambda: len(entries(run, service_id)) == 2))
    assert {e["httpRequest"]["status"] for e in entries(run, service_id)} == {200}, "the refusal leaves no entry"


@pins("run", "The front door", "Ingress NONE lets nobody in", documented="IngressTraffic")
def test_a_service_without_ingress_is_reached_by_nobody(run: Runner) -> None:
    service = run.service("walled")
    service.ingress = NONE  # type: ignore[assignment]
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="walled"))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    for port in ("rest", "service_rest"):
        url = made.uri.replace(str(run.place.ports["rest"]), str(run.place.ports[port]), 1)
        assert http(url).status == 404


@pins(
    "run",
    "The front door",
    "default_uri_disabled: no URLs, and 404 at those that there were",
    documented="Service.default_uri_disabled",
)
def test_a_service_without_its_default_url_is_not_found(run: Runner) -> None:
    made = run.create("hidden")
    assert http(made.uri).status == 200
    uri = made.uri
    made.default_uri_disabled = True
    made = run.update(made)
    assert (made.uri, list(made.urls)) == ("", [])
    assert http(uri).status == 404


@pins(
    "run",
    "The front door",
    "invoker_iam_disabled: nobody is asked for a token",
    documented="Service.invoker_iam_disabled",
)
def test_a_service_may_do_without_the_check_of_its_callers(run: Runner) -> None:
    made = run.create("open", public=False)
    assert http(made.uri).status == 403
    made.invoker_iam_disabled = True
    run.update(made)
    assert http(made.uri).status == 200


@pins(
    "run",
    "The front door",
    "Bodies are streamed in both directions, of a known length or chunked",
    documented="Container contract",
)
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_reaches_the_instance_while_it_is_still_being_sent(run: Runner, plain: Any, chunked: bool) -> None:
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 10"
    path = plain.uri.partition(str(run.place.ports["rest"]))[2]
    with socket.create_connection(("127.0.0.1", run.place.ports["rest"]), timeout=20) as caller:
        caller.sendall(f"POST {path}/echo HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        answers = caller.makefile("rb")
        for piece in (b"first", b"again"):
            caller.sendall(b"5\r\n%s\r\n" % piece if chunked else piece)
            seen = b""
            while piece not in seen:  # the answer to this piece comes before the next one is sent
                line = answers.readline()
                assert line, "the connection was closed"
                seen += line
        if chunked:
            caller.sendall(b"0\r\n\r\n")
        while (line := answers.readline()) != b"0\r\n":
            assert line


@pins("run", "The front door", "A request body of more than 32 MiB is a 413", documented="Quotas")
def test_too_large_a_body_is_refused_before_and_while_it_is_sent(
    run: Runner, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain.uri.partition(str(run.place.ports["rest"]))[2]
    with socket.create_connection(("127.0.0.1", run.place.ports["rest"]), timeout=20) as caller:
        caller.sendall(f"POST {path}/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 33554433\r\n\r\n".encode())
        assert caller.makefile("rb").readline().startswith(b"HTTP/1.1 413")

    assert bodies.MAX_BODY == 32 << 20
    monkeypatch.setattr(bodies, "MAX_BODY", 1 << 20)  # 32 MiB take their time

    async def send_too_much() -> int:
        async def pieces() -> Any:
            for _ in range(33):
                yield bytes(1 << 15)

        async with aiohttp.ClientSession() as session, session.post(f"{plain.uri}/", data=pieces()) as answer:
            return answer.status

    assert asyncio.run(send_too_much()) == 413
    assert http(f"{plain.uri}/", method="POST", body=bytes(1 << 20)).status == 200


@pins(
    "run",
    "The front door",
    "WebSockets: one request each, by bytes in both directions, up to the request timeout",
    documented="Using WebSockets",
)
def test_a_websocket_is_carried_both_ways_and_counts_as_one_request(run: Runner, plain: Any) -> None:
    async def talk() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{plain.uri}/ws") as line:
            await line.send_str("hello")
            assert (await line.receive_str(timeout=30)) == "hello"
            await line.send_bytes(bytes(100_000))
            assert (await line.receive_bytes(timeout=30)) == bytes(100_000)
            busy = [i["in_flight"] for i in run.status()["plain"]["instances"]]
            assert sum(busy) == 1
        await until(lambda: not any(i["in_flight"] for i in run.status()["plain"]["instances"]))

    asyncio.run(talk())
    asyncio.run(until(lambda: 101 in [e["httpRequest"]["status"] for e in entries(run, "plain")]))


@pins(
    "run",
    "The front door",
    "What a WebSocket's caller may not have is answered as any request is",
    ours="the same order of checks",
)
def test_a_websocket_is_refused_as_any_request_is(run: Runner) -> None:
    closed = run.create("closed-line", public=False)

    async def status(url: str) -> int:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url)
            return refused.value.status

    assert asyncio.run(status(closed.uri)) == 403
    assert asyncio.run(status(f"{run.place.rest}/run/nobody-{NUMBER}.us-central1/")) == 404
    assert asyncio.run(status(f"{run.place.rest}/v1/elsewhere")) == 404


@pins("run", "The front door", "A WebSocket ends with the service's request timeout", documented="Using WebSockets")
def test_a_websocket_ends_with_the_request_timeout(run: Runner) -> None:
    made = run.create("short-line", timeout="1s")

    async def talk() -> None:
        async with aiohttp.ClientSession() as session:
            late = None
            try:
                line = await session.ws_connect(f"{made.uri}/ws")
                end = await line.receive(timeout=30)
            except aiohttp.WSServerHandshakeError as refused:  # a second may be over before the handshake is
                late = refused.status
            assert late == 504 or end.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)

    asyncio.run(talk())


@pins(
    "run",
    "The front door",
    "Session affinity: a cookie (GAESA, 30 days) brings a client back to its instance while that has a place",
    documented="Session affinity",
)
def test_a_session_comes_back_to_its_instance(run: Runner, plain: Any, tmp_path: Path) -> None:
    first = http(plain.uri)
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("GAESA=")
    assert "Max-Age=2592000" in cookie
    door = tmp_path / "open"
    held: list[Answer] = []
    waiting = [
        threading.Thread(target=lambda: held.append(http(f"{plain.uri}/wait", method="POST", body=str(door).encode())))
        for _ in range(3)  # more than one instance takes
    ]
    for thread in waiting:
        thread.start()
    asyncio.run(until(lambda: sum(i["in_flight"] for i in run.status()["plain"]["instances"]) == 3))
    door.touch()
    for thread in waiting:
        thread.join()
    session = {"Cookie": cookie.partition(";")[0]}
    again = [http(plain.uri, headers=session) for _ in range(4)]
    assert {answer.json["pid"] for answer in again} == {first.json["pid"]}
    assert "set-cookie" not in again[0].headers
