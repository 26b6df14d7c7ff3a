"""The owner's door and the browser: no page of another site may call, under whatever name it calls this machine."""

import asyncio

import aiohttp
import pytest

from local_cloud.cloud import Cloud
from local_cloud.server.web_pages import refusal
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

QUEUES = "/v2/projects/sluice-local/locations/us-central1/queues"
QUEUE = b'{"name": "projects/sluice-local/locations/us-central1/queues/evil"}'
EVIL = "https://evil.example"


@pins(
    "front_end",
    "REST and gRPC",
    "The owner's door refuses calls of other sites' web pages (Origin, Sec-Fetch-Site), preflights and WebSockets too",
    ours="whoever calls there is the owner, and can run commands",
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "chrome-extension://localhost"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
async def test_a_page_of_another_site_gets_nothing_done(rest: Rest, headers: dict[str, str]) -> None:
    for verb, path in (
        ("POST", QUEUES),
        ("POST", "/_sluice/images"),
        ("GET", "/run/x-1.us-central1/"),
        ("OPTIONS", "/"),
    ):
        status, answer = await rest(verb, path, data=QUEUE, headers=headers)
        assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED"), path
        assert headers.get("Origin", "another site") in answer["error"]["message"]
        assert "localhost" in answer["error"]["message"]
    assert await rest.ok("GET", QUEUES) == {}


async def test_a_page_of_another_site_opens_no_websocket(cloud: Cloud) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.ports["rest"])
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    head = f"GET /run/x-1.us-central1/ HTTP/1.1\r\nHost: localhost\r\nOrigin: {EVIL}\r\n{upgrade}\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert EVIL.encode() in answer


@pins(
    "front_end",
    "REST and gRPC",
    "Pages of this machine may call the owner's door, CORS included; other pages hear no CORS header at any door",
    ours=True,
)
@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:1", "http://a.localhost"]
)
async def test_a_page_of_this_machine_may_call(cloud: Cloud, session: aiohttp.ClientSession, origin: str) -> None:
    url = f"http://127.0.0.1:{cloud.ports['rest']}{QUEUES}"
    async with session.get(url, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    async with session.options(url, headers={"Origin": origin}) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, origin)
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
    service = f"http://127.0.0.1:{cloud.ports['service_rest']}{QUEUES}"
    async with session.options(service, headers={"Origin": EVIL}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


@pins(
    "front_end",
    "REST and gRPC",
    "The owner's door goes by the names of this machine, Google's and the metadata server's (DNS rebinding); "
    "by any name where --host is not loopback",
    ours=True,
)
async def test_a_name_that_is_not_this_machines_is_refused(rest: Rest) -> None:
    status, answer = await rest("POST", QUEUES, data=QUEUE, headers={"Host": "evil.example:8123"})
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "evil.example" in answer["error"]["message"]
    assert "--host 0.0.0.0" in answer["error"]["message"]
    assert (await rest("GET", QUEUES, headers={"Host": "localhost:1"})) == (200, {})
    metadata = {"Host": "metadata.google.internal", "Metadata-Flavor": "Google"}
    assert (await rest("GET", "/computeMetadata/v1/project/project-id", headers=metadata)) == (200, "sluice-local")


@pytest.mark.parametrize(
    ("host", "listens_on", "let_in"),
    [
        ("127.0.0.1:8123", "127.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("[::1]:8123", "127.0.0.1", True),
        ("LOCALHOST.:8123", "127.0.0.1", True),
        ("us-central1-127.0.0.1:8123", "127.0.0.1", True),
        ("us-central1-run.googleapis.com", "127.0.0.1", True),
        ("169.254.169.254", "127.0.0.1", True),
        ("host.docker.internal:8123", "127.0.0.1", True),
        ("", "127.0.0.1", True),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("evilgoogleapis.com", "127.0.0.1", False),
        ("192.168.1.5", "127.0.0.1", False),
        ("[nonsense", "127.0.0.1", False),
        ("cloud:8123", "0.0.0.0", True),
        ("cloud:8123", "192.168.1.5", True),
    ],
)
def test_which_names_the_door_goes_by(host: str, listens_on: str, let_in: bool) -> None:
    said = [(b"host", host.encode())] if host else []
    assert (refusal(said, listens_on=listens_on) is None) == let_in


@pytest.mark.parametrize(
    ("origin", "host", "let_in"),
    [
        ("http://192.168.1.5:8123", "192.168.1.5:8123", True),
        ("http://192.168.1.6", "192.168.1.5:8123", False),
        ("http://evil.example:8123", "evil.example:8123", False),
        ("http://localhost:3000", "cloud:8123", True),
    ],
)
def test_a_door_on_the_network_refuses_other_sites_too(origin: str, host: str, let_in: bool) -> None:
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    assert (refusal(headers, listens_on="0.0.0.0") is None) == let_in


def test_a_link_that_a_person_follows_is_answered() -> None:
    fetch = {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"}
    assert refusal(fetch.items(), listens_on="127.0.0.1") is None
