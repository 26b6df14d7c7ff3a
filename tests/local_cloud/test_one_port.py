"""REST and gRPC on one port: who speaks what is told by its first bytes."""

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import methods
from local_cloud.settings import MAX_REQUEST_BYTES
from tests.fidelity import pins
from tests.local_cloud.conftest import Process, Rest

TASKS = "google.cloud.tasks.v2.CloudTasks"
PARENT = "projects/sluice-local/locations/us-central1"


def rpc(channel: grpc.aio.Channel, name: str) -> Any:
    method = methods(TASKS)[name]
    return channel.unary_unary(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )


async def say(port: int, *parts: bytes) -> bytes:
    """Sends bytes, each part by itself, and reads the answer's first bytes ("" when the door hangs up)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read(1000)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pins("standalone", "Starting", "REST and gRPC are served on one port, as Google serves both on 443", ours=True)
@pytest.mark.parametrize("door", ["rest", "service_rest"])
async def test_grpc_is_served_on_the_rest_port(cloud: Cloud, rest: Rest, door: str) -> None:
    token = cloud.identity.access_token(cloud.owner.member).token
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports[door]}") as channel:
        queue = {"name": f"{PARENT}/queues/one-port"}
        request = methods(TASKS)["CreateQueue"].request(parent=PARENT, queue=queue)
        await rpc(channel, "CreateQueue")(request, metadata=metadata)
        assert (await rest.ok("GET", f"/v2/{PARENT}/queues/one-port"))["state"] == "RUNNING"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc(channel, "GetQueue")(methods(TASKS)["GetQueue"].request(name="none"), metadata=metadata)
        assert "Queue does not exist" in str(dict(caught.value.trailing_metadata() or ()))


async def test_every_new_grpc_connection_is_answered_however_many_come_at_once(process: Process) -> None:
    """In the process, on uvloop, as it is served."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    for _ in range(10):
        answers = await asyncio.gather(*(say(process.ports["rest"], preface) for _ in range(40)))
        assert {answer[3:4] for answer in answers} == {b"\x04"}  # the gRPC server's SETTINGS
    for _ in range(40):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.ports['rest']}") as channel:
            request = methods(TASKS)["ListQueues"].request(parent=PARENT)
            assert not (await rpc(channel, "ListQueues")(request)).queues


async def test_large_messages_and_many_calls_at_once_pass_the_one_port(cloud: Cloud, rest: Rest) -> None:
    await rest.ok("POST", f"/v2/{PARENT}/queues", {"name": f"{PARENT}/queues/wide"})
    await rest.ok("POST", f"/v2/{PARENT}/queues/wide:pause")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['rest']}") as channel:
        target = {"url": "http://127.0.0.1:9/", "body": b"x" * 90_000}
        request = methods(TASKS)["CreateTask"].request(parent=f"{PARENT}/queues/wide", task={"http_request": target})
        made = await asyncio.gather(*(rpc(channel, "CreateTask")(request) for _ in range(30)))
        assert len({task.name for task in made}) == 30
        listed = await rpc(channel, "ListTasks")(
            methods(TASKS)["ListTasks"].request(parent=f"{PARENT}/queues/wide", response_view="FULL")
        )
        assert [len(task.http_request.body) for task in listed.tasks] == [90_000] * 30
        body = {"http_request": {"url": "http://a/", "body": b"x" * MAX_REQUEST_BYTES}}
        too_big = methods(TASKS)["CreateTask"].request(parent=f"{PARENT}/queues/wide", task=body)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc(channel, "CreateTask")(too_big)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_first_bytes_may_come_one_by_one(cloud: Cloud) -> None:
    request = b"POST /_sluice/idle HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    parts = [request[n : n + 1] for n in range(len(request))]
    assert (await say(cloud.ports["rest"], *parts)).startswith(b"HTTP/1.1 200")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    parts = [preface[n : n + 1] for n in range(len(preface))]
    frame = await say(cloud.ports["rest"], *parts)
    assert frame[3] == 4  # the gRPC server's SETTINGS


@pins("standalone", "Starting", "A target in absolute form, as a proxy gets it, is its path", documented="RFC 9112")
async def test_a_target_in_absolute_form_is_taken_as_its_path(cloud: Cloud) -> None:
    target = b"http://cloudtasks.googleapis.com/v2/" + PARENT.encode() + b"/queues"
    rest = b" HTTP/1.1\r\nHost: cloudtasks.googleapis.com\r\nConnection: close\r\n\r\n"
    answer = await say(cloud.ports["rest"], b"GET " + target + rest)
    assert answer.startswith(b"HTTP/1.1 200")


@pins(
    "standalone",
    "Starting",
    "The doors are plain text; who speaks TLS is hung up on, and the log says what to change",
    ours=True,
)
async def test_who_speaks_tls_is_told_once_what_to_change(cloud: Cloud) -> None:
    port = cloud.ports["rest"]
    for _ in range(3):
        assert await say(port, bytes.fromhex("16030100c8010000c4")) == b""
    said = [event["message"] for event in cloud.log.events if "spoke TLS" in event["message"]]
    assert len(said) == 1
    assert str(port) in said[0]
    assert "insecure" in said[0]


async def test_bytes_that_are_neither_are_refused(cloud: Cloud) -> None:
    assert (await say(cloud.ports["rest"], b"PRI * NONSENSE\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert (await say(cloud.ports["rest"], b"\x00\x01\x02\r\n\r\n")).startswith(b"HTTP/1.1 400")


@pins(
    "front_end",
    "REST and gRPC",
    "An API that is not emulated: UNIMPLEMENTED over gRPC, 404 over REST, with what is",
    ours=True,
)
async def test_an_api_that_is_not_emulated_is_named(cloud: Cloud, rest: Rest) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['rest']}") as channel:
        for path in (
            "/google.spanner.v1.Spanner/ExecuteSql",
            "/google.cloud.vision.v1.ImageAnnotator/BatchAnnotateImages",
        ):
            unknown: Any = channel.unary_unary(path)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unknown(b"\x0a\x01x")
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert path in str(caught.value.details())
            assert "local_cloud/apis/" in str(caught.value.details())
        stream: Any = channel.stream_stream("/google.spanner.v1.Spanner/ExecuteStreamingSql")
        call = stream()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    status, body = await rest("POST", "/v1/projects/sluice-local/images:annotate", {"requests": []})
    assert (status, body["error"]["status"]) == (404, "NOT_FOUND")
    assert "/v1/projects/sluice-local/images:annotate" in body["error"]["message"]
    assert "local_cloud/apis/" in json.dumps(body)
