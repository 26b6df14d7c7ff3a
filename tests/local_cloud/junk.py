"""Bodies, paths and messages that may or may not fit, made from the descriptors of whatever is emulated."""

from __future__ import annotations

import random
import re
from typing import Any

from local_cloud.descriptors import is_map

PROJECT = "sluice-local"
ACCOUNT = f"gcsplit@{PROJECT}.iam.gserviceaccount.com"
TEXTS = [
    "",
    "x",
    "q",
    f"projects/{PROJECT}",
    f"projects/{PROJECT}/locations/us-central1/queues/q",
    f"projects/{PROJECT}/locations/us-central1/queues/new",
    f"projects/{PROJECT}/secrets/q",
    "http://127.0.0.1:1/",
    "https://127.0.0.1:1/a?b#c",
    ACCOUNT,
    f"serviceAccount:{ACCOUNT}",
    "roles/run.invoker",
    "run.routes.invoke",
    "\u0000",
    "é" * 10,
    "\U0001f4b8",
    "* * * * *",
    "0 25 * * *",
    "latest",
    "../..",
    "a" * 600,
]
IDS = ["q", "q", "q", "q", "x1", ACCOUNT, ACCOUNT, "1", "latest", "-", "%20", "a:b", "é", "a" * 300]
WELL_KNOWN: dict[str, list[Any]] = {
    "google.protobuf.Timestamp": ["2030-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z", "now"],
    "google.protobuf.Duration": ["5s", "-5s", "315576000000s", "0.5s", "1e9s", "5"],
    "google.protobuf.FieldMask": ["name", "a.b", "*", "rateLimits", "template.containers", ",", "Name", "labels.x"],
    "google.protobuf.Struct": [{"a": [1, None]}, []],
    "google.protobuf.Value": [None, 1, "x", [1]],
    "google.protobuf.Any": [{}, {"@type": "type.googleapis.com/google.rpc.Status", "code": 1}, {"@type": "x"}],
}
QUERIES = [
    "", "", "", "?pageSize=-1", "?pageSize=2147483648", "?pageToken=zz", "?updateMask=foo", "?updateMask=%2C",
    "?view=9", "?filter=a%20AND", "?orderBy=;", "?$alt=proto",
    "?alt=media", "?fields=a(b", "?allowMissing=maybe", "?etag=x", "?validateOnly=true", "?key=%FF", "?name=x&name=y",
]  # fmt: skip
WRONG: list[Any] = [None, 5, "x", [], {}, -1, 1e30, True, [[]], {"x": {"y": []}}, "NaN", 2**70]
NUMBERS: list[Any] = [0, 1, -1, 2**31 - 1, 2**63 - 1, -(2**63), 1.5, "7", "-0", True, 1e308]


def body(rng: random.Random, descriptor: Any, depth: int = 0, *, wild: bool = True) -> dict[str, Any]:
    """JSON of a message's own fields; their types fit where it is not `wild`."""
    fields = list(descriptor.fields)
    made: dict[str, Any] = {}
    for _ in range(rng.randint(0, min(len(fields), 5))):
        field = rng.choice(fields)
        value = _value(rng, field, depth, wild)
        if is_map(field):
            value = {rng.choice(["k", "", "é", "goog-x"]): value}
        made[field.json_name] = [value] * rng.randint(0, 2) if field.is_repeated and not is_map(field) else value
    if wild and rng.random() < 0.05:
        made[rng.choice(["unknown", "", "name.x"])] = rng.choice(WRONG)
    return made


def _value(rng: random.Random, field: Any, depth: int, wild: bool) -> Any:
    if wild and rng.random() < 0.08:
        return rng.choice(WRONG)
    if field.message_type is not None:
        if known := WELL_KNOWN.get(field.message_type.full_name):
            return rng.choice(known) if wild else known[0]
        return body(rng, field.message_type, depth + 1, wild=wild) if depth < 5 else {}
    if field.enum_type is not None:
        return rng.choice(list(field.enum_type.values)).name
    fitting: dict[int, list[Any]] = {
        field.TYPE_BOOL: [True, False],
        field.TYPE_STRING: TEXTS,
        field.TYPE_BYTES: ["eHh4", "*", ""] if wild else ["eHh4"],
    }
    return rng.choice(fitting.get(field.type, NUMBERS if wild else [0, 1, 5, 2000]))


def fill(rng: random.Random, found: Any, sent: Any, depth: int = 0) -> Any:
    """Sets some fields of a protobuf message to values that its types allow."""
    for field in rng.sample(list(found.fields), min(len(found.fields), rng.randint(0, 4))):
        if is_map(field):
            continue
        if field.message_type is not None:
            if depth < 4:
                inner = getattr(sent, field.name)
                fill(rng, field.message_type, inner.add() if field.is_repeated else inner, depth + 1)
            continue
        value = rng.choice(_numbers(field))
        setattr(sent, field.name, value) if not field.is_repeated else getattr(sent, field.name).append(value)
    return sent


def _numbers(field: Any) -> list[Any]:
    """Values that a message's field can hold."""
    known: dict[int, list[Any]] = {
        field.TYPE_STRING: TEXTS,
        field.TYPE_BYTES: [b"", b"\x00\xff"],
        field.TYPE_BOOL: [True],
        field.TYPE_DOUBLE: [0.0, -1.0, 1e308, float("nan"), float("inf"), 499.9],
        field.TYPE_FLOAT: [0.0, -1.0, float("nan")],
        field.TYPE_ENUM: [0, 1, 99],
        field.TYPE_UINT32: [0, 1, 2**32 - 1],
        field.TYPE_UINT64: [0, 1, 2**64 - 1],
        field.TYPE_INT64: [0, 1, -1, 2**63 - 1, -(2**63)],
    }
    return known.get(field.type, [0, 1, -1, 2**31 - 1, -(2**31)])


def new_id(descriptor: Any) -> str:
    """The query that names what is made, where the method takes one."""
    found = [field.json_name for field in descriptor.fields if field.name.endswith("_id")] if descriptor else []
    return f"?{found[0]}=NEW" if found else ""


def path(rng: random.Random, template: str) -> str:
    """A path that fits a URL template."""

    def segment(found: re.Match[str]) -> str:
        name, _, pattern = found[1].partition("=")
        segments: list[str] = []
        for part in (pattern or "*").split("/"):
            before = segments[-1] if segments else name + "s"
            own = {"projects": PROJECT, "namespaces": PROJECT, "locations": "us-central1"}.get(before)
            segments.append((own or rng.choice(IDS)) if part.startswith("*") else part)
        return "/".join(segments)

    return re.sub(r"\{([^}]*)\}", segment, template)
