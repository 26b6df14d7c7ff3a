"""Who is let in where, and how errors look on both wires."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from local_cloud.cloud import Cloud
from local_cloud.descriptors import methods
from local_cloud.settings import MAX_REQUEST_BYTES
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

pins(
    "iam",
    "Policies and decisions",
    "The project's owner is above policies and not in them",
    ours=True,
)

ACCOUNTS = "/v1/projects/sluice-local/serviceAccounts"


def stub(channel: grpc.aio.Channel, service: str, name: str) -> Callable[..., Any]:
    method = methods(service)[name]
    return channel.unary_unary(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )


@pins(
    "front_end",
    "REST and gRPC",
    "A call without a token of ours at the owner's doors is the owner's",
    ours=True,
)
async def test_the_owners_door_takes_a_call_without_credentials_as_the_owners(rest: Rest) -> None:
    assert await rest.ok("GET", ACCOUNTS) == {}


@pytest.mark.parametrize("token", ["dummy", "ya29.dummy", "a.b.c", ""])
async def test_the_owners_door_takes_a_foreign_token_as_the_owners(rest: Rest, token: str) -> None:
    status, _ = await rest("GET", ACCOUNTS, headers={"Authorization": f"Bearer {token}"})
    assert status == 200


async def test_an_account_is_itself_at_both_doors(rest: Rest, as_account: Callable[[str], Rest]) -> None:
    account = as_account("gcsplit")
    status, _ = await account("GET", ACCOUNTS)
    assert status == 403
    status, _ = await rest("GET", ACCOUNTS, headers={"Authorization": f"Bearer {account.token}"})
    assert status == 403


@pins(
    "front_end",
    "REST and gRPC",
    "No call without credentials at the services' doors: UNAUTHENTICATED, CREDENTIALS_MISSING, ACCESS_TOKEN_EXPIRED",
    observed="Google's front end",
)
async def test_the_services_door_refuses_a_call_without_credentials(
    cloud: Cloud, session: aiohttp.ClientSession
) -> None:
    service = Rest(session, f"http://127.0.0.1:{cloud.ports['service_rest']}")
    status, body = await service("GET", ACCOUNTS)
    assert (status, body["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert body["error"]["details"][0]["reason"] == "CREDENTIALS_MISSING"
    assert body["error"]["message"].startswith("Request is missing required authentication credential.")
    status, body = await service("GET", ACCOUNTS, headers={"Authorization": "Bearer dummy"})
    assert (status, body["error"]["details"][0]["reason"]) == (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")


@pins(
    "front_end",
    "Identity",
    "Tokens expire by the moved clock",
    ours=True,
)
async def test_a_token_ends_by_the_clouds_clock(cloud: Cloud, as_account: Callable[[str], Rest]) -> None:
    account = as_account("gcsplit")
    await cloud.clock.advance(3601)
    status, body = await account("GET", ACCOUNTS)
    assert (status, body["error"]["details"][0]["reason"]) == (401, "ACCESS_TOKEN_EXPIRED")


async def test_a_deleted_or_disabled_account_is_nobody(cloud: Cloud, as_account: Callable[[str], Rest]) -> None:
    account = as_account("gcsplit")
    email = f"gcsplit@{cloud.iam.accounts.domain}"
    cloud.iam.accounts.get(email).disabled = True
    assert (await account("GET", ACCOUNTS))[0] == 401
    cloud.iam.accounts.get(email).disabled = False
    assert (await account("GET", ACCOUNTS))[0] == 403
    cloud.iam.accounts.delete(email)
    assert (await account("GET", ACCOUNTS))[0] == 401


async def test_the_controls_are_at_the_owners_door_only(rest: Rest, as_account: Callable[[str], Rest]) -> None:
    assert (await rest("GET", "/_sluice/status"))[0] == 200
    assert (await as_account("gcsplit")("GET", "/_sluice/status"))[0] == 404


@pins(
    "front_end",
    "REST and gRPC",
    "Error envelope with status and typed details; gRPC has them in grpc-status-details-bin",
    documented="AIP-193",
)
async def test_grpc_errors_carry_their_details(cloud: Cloud) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['service_grpc']}") as channel:
        call = stub(channel, "google.iam.admin.v1.IAM", "ListServiceAccounts")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(methods("google.iam.admin.v1.IAM")["ListServiceAccounts"].request(name="projects/sluice-local"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    trailers = dict(caught.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("CREDENTIALS_MISSING", "googleapis.com")


@pins(
    "front_end",
    "REST and gRPC",
    "A method that is not emulated: UNIMPLEMENTED by name, with the file to edit",
    ours=True,
)
async def test_a_method_that_is_not_there_is_named_with_the_file_to_add_it_to(cloud: Cloud, rest: Rest) -> None:
    status, body = await rest("GET", "/v2/projects/sluice-local/locations/us-central1/workerPools")
    assert (status, body["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert "google.cloud.run.v2.WorkerPools.ListWorkerPools is not emulated" in body["error"]["message"]
    assert "local_cloud/apis/run.py" in body["error"]["message"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['grpc']}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub(channel, "google.cloud.run.v2.WorkerPools", "ListWorkerPools")(
                methods("google.cloud.run.v2.WorkerPools")["ListWorkerPools"].request()
            )
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        unknown: Any = channel.unary_unary("/google.nowhere.v1.Nothing/Do")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unknown(b"")
        assert "google.nowhere.v1.Nothing/Do" in str(caught.value.details())


@pins(
    "front_end",
    "REST and gRPC",
    "An unknown path: JSON 404 that lists what is emulated (Google: HTML)",
    ours=True,
)
async def test_an_unknown_path_is_a_json_404_that_lists_what_is_here(rest: Rest) -> None:
    status, body = await rest("GET", "/dns/v1/projects/sluice-local/managedZones")
    assert (status, body["error"]["status"]) == (404, "NOT_FOUND")
    assert "iam" in body["error"]["message"]


@pins(
    "front_end",
    "REST and gRPC",
    "Another project: PERMISSION_DENIED, CONSUMER_INVALID",
    observed="conformance record",
)
async def test_another_project_is_refused_as_google_does(rest: Rest) -> None:
    status, body = await rest("GET", "/v1/projects/elsewhere/serviceAccounts")
    assert (status, body["error"]["message"]) == (403, "Permission denied on resource project elsewhere.")
    assert body["error"]["details"][0]["reason"] == "CONSUMER_INVALID"


@pins(
    "front_end",
    "REST and gRPC",
    "The project's number stands for its id",
    documented="Resource Manager",
)
async def test_the_projects_number_is_as_good_as_its_id(rest: Rest) -> None:
    made = await rest.ok("POST", "/v1/projects/123456789012/serviceAccounts", {"accountId": "gcsplit"})
    assert made["name"] == "projects/sluice-local/serviceAccounts/gcsplit@sluice-local.iam.gserviceaccount.com"
    name = made["email"]
    assert (await rest.ok("GET", f"/v1/projects/-/serviceAccounts/{name}"))["uniqueId"] == made["uniqueId"]


@pins(
    "front_end",
    "REST and gRPC",
    "A body above 10 MB: 413; gzip is taken, also within that limit",
    ours=True,
)
async def test_bodies_may_be_gzipped_and_have_a_limit(rest: Rest) -> None:
    body = gzip.compress(json.dumps({"accountId": "zipped-account"}).encode())
    status, made = await rest("POST", ACCOUNTS, data=body, headers={"Content-Encoding": "gzip"})
    assert (status, made["email"]) == (200, "zipped-account@sluice-local.iam.gserviceaccount.com")
    big = b" " * (MAX_REQUEST_BYTES + 1)
    assert (await rest("POST", ACCOUNTS, data=big))[0] == 413
    bomb = gzip.compress(big)
    status, answer = await rest("POST", ACCOUNTS, data=bomb, headers={"Content-Encoding": "gzip"})
    assert (status, answer["error"]["code"]) == (413, 413)
    assert (await rest("POST", ACCOUNTS, data=b"no gzip", headers={"Content-Encoding": "gzip"}))[0] == 400
    assert (await rest("POST", ACCOUNTS, data=b"x", headers={"Content-Encoding": "br"}))[0] == 415


@pins("front_end", "REST and gRPC", "A body on a GET or on a POST that takes none is ignored", ours=True)
async def test_a_body_that_nobody_asked_for_is_ignored(rest: Rest) -> None:
    status, _ = await rest("GET", "/v1/projects/sluice-local/secrets", data=b"{not json")
    assert status == 200


async def test_head_and_options_are_sane(cloud: Cloud, session: aiohttp.ClientSession) -> None:
    base = f"http://127.0.0.1:{cloud.ports['rest']}"
    async with session.head(base + ACCOUNTS) as response:
        assert (response.status, await response.read()) == (200, b"")
    async with session.options(base + ACCOUNTS) as response:
        assert (response.status, response.headers["Allow"]) == (204, "GET, POST, OPTIONS")


@pins(
    "front_end",
    "REST and gRPC",
    "Server reflection",
    ours=True,
)
async def test_reflection_lists_the_services_and_their_files(cloud: Cloud) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['grpc']}") as channel:
        info: Any = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        call = info()
        await call.write(b"\x3a\x00")  # list_services: ""
        assert b"google.iam.admin.v1.IAM" in await call.read()
        symbol = b"google.iam.admin.v1.IAM"
        await call.write(b"\x22" + bytes([len(symbol)]) + symbol)
        assert b"google/iam/admin/v1/iam.proto" in await call.read()
        await call.done_writing()


async def test_bytes_that_are_no_message_are_the_callers_error(cloud: Cloud) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['grpc']}") as channel:
        call: Any = channel.unary_unary("/google.iam.admin.v1.IAM/ListServiceAccounts")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("body", [{"seconds": -5}, {"seconds": "6"}, {"seconds": True}, {"seconds": 4e11}, {}, [1]])
async def test_a_bad_move_of_the_clock_is_refused(cloud: Cloud, rest: Rest, body: Any) -> None:
    status, answer = await rest("POST", "/_sluice/clock:advance", body)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert cloud.clock.offset == 0
