"""Whatever is sent to any emulated method, over REST or gRPC: an answer or a refusal, never an error of our own."""

import json
import random
import re
from typing import Any

import grpc
import grpc.aio
import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import HttpRule, Method, is_map, methods
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

pins(
    "front_end",
    "REST and gRPC",
    "Rubbish at any method: a refusal, never a 500",
    ours=True,
)

TEXTS = [
    "",
    "x",
    "projects/sluice-local",
    "projects/sluice-local/locations/us-central1/queues/q",
    "http://127.0.0.1:1/",
    "a@b.c",
    "\u0000",
    "é" * 10,
    "* * * * *",
    "0 25 * * *",
]
IDS = ["q", "x1", "gcsplit@sluice-local.iam.gserviceaccount.com", "1", "latest", "%20", "a:b", "é"]
WELL_KNOWN: dict[str, list[Any]] = {
    "google.protobuf.Timestamp": ["2030-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z"],
    "google.protobuf.Duration": ["5s", "-5s", "315576000000s", "0.5s"],
    "google.protobuf.FieldMask": ["name", "a.b", "*", "rateLimits", "template.containers"],
    "google.protobuf.Struct": [{"a": [1, None]}],
    "google.protobuf.Value": [None, 1, "x", [1]],
    "google.protobuf.Any": [{}, {"@type": "type.googleapis.com/google.rpc.Status", "code": 1}, {"@type": "x"}],
}
QUERIES = [
    "",
    "?pageSize=-1",
    "?pageToken=zz",
    "?updateMask=foo",
    "?queueId=a&serviceId=b&secretId=S&jobId=j",
    "?view=9",
]


def junk(rng: random.Random, descriptor: Any, depth: int = 0) -> dict[str, Any]:
    """A body of a message's own fields, with values that may or may not fit."""
    fields = list(descriptor.fields)
    made: dict[str, Any] = {}
    for field in rng.sample(fields, min(len(fields), rng.randint(0, 4))):
        value = _value(rng, field, depth)
        if is_map(field):
            value = {"k": value}
        made[field.json_name] = [value] if field.is_repeated and not is_map(field) else value
    return made


def _value(rng: random.Random, field: Any, depth: int) -> Any:
    if rng.random() < 0.1:
        return rng.choice([None, 5, "x", [], {}, -1, 1e30, True])
    if field.message_type is not None:
        if known := WELL_KNOWN.get(field.message_type.full_name):
            return rng.choice(known)
        return junk(rng, field.message_type, depth + 1) if depth < 5 else {}
    numbers = [0, 1, -1, 2**31 - 1, 1.5, True]
    return rng.choice({field.TYPE_STRING: TEXTS, field.TYPE_BYTES: ["eHh4"]}.get(field.type, numbers))


def path_of(rng: random.Random, template: str) -> str:
    """A path that fits a URL template."""

    def fill(found: "re.Match[str]") -> str:
        segments: list[str] = []
        for segment in (found[1].partition("=")[2] or "*").split("/"):
            own = {"projects": "sluice-local", "locations": "us-central1"}.get(segments[-1] if segments else "")
            segments.append((own or rng.choice(IDS)) if segment.startswith("*") else segment)
        return "/".join(segments)

    return re.sub(r"\{([^}]*)\}", fill, template)


def emulated(cloud: Cloud) -> list[tuple[Method, HttpRule]]:
    found = [m for api in cloud.apis for s in api.services for m in methods(s).values() if m.path in api.rpcs]
    return [(m, rule) for m in found for rule in m.rules if not m.server_streaming]


@pytest.mark.parametrize("seed", range(4))
async def test_no_rest_call_makes_an_error_of_our_own(cloud: Cloud, rest: Rest, seed: int) -> None:
    rng = random.Random(seed)
    for method, rule in emulated(cloud):
        kind = method.request.DESCRIPTOR
        if rule.body not in ("", "*"):
            kind = kind.fields_by_name[rule.body].message_type
        data = json.dumps(junk(rng, kind)).encode() if rule.body else None
        path = path_of(rng, rule.template).replace("é", "%C3%A9") + rng.choice(QUERIES)
        status, answer = await rest(rule.verb, path, data=data)
        assert status != 500, (method.full_name, path, data, answer)
    assert [event for event in cloud.log.events if event["severity"] == "ERROR"] == []


@pins(
    "front_end",
    "REST and gRPC",
    "A malformed resource name over gRPC: INVALID_ARGUMENT, RESOURCE_PROJECT_INVALID",
    observed="public issue threads",
)
async def test_no_grpc_bytes_make_an_error_of_our_own(cloud: Cloud) -> None:
    rng = random.Random(1)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['grpc']}") as channel:
        for method in {m.path: m for m, _ in emulated(cloud)}.values():
            for size in (0, 3, 40):
                multi: Any = channel.unary_unary(method.path)
                call = multi(rng.randbytes(size), timeout=20)
                assert await call.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), method.path
    assert [event for event in cloud.log.events if event["severity"] == "ERROR"] == []
