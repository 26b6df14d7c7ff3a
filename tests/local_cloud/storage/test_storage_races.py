"""What is promised of an object whose source, client or cloud goes away in the middle of a call."""

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local_cloud.apis.storage import object_calls
from local_cloud.apis.storage.api import Storage
from local_cloud.storage import sessions as sessions_module
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.run_client import Answer, http

DAY = 86_400


def put(rest: str, bucket: str, name: str, data: bytes) -> Answer:
    url = f"{rest}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
    made = http(url, method="POST", body=data)
    assert made.status == 200
    return made


def once(work: Callable[[], object], then: Callable[..., Any]) -> Callable[..., Any]:
    """`then`, before whose first call something else is done."""
    left = [work]

    def made(*given: Any) -> Any:
        if left:
            left.pop()()
        return then(*given)

    return made


@pins(
    "storage",
    "Objects",
    "A copy whose source is overwritten meanwhile has the bytes of one version or the other; one whose source has gone "
    "is refused",
    ours=True,
)
@pytest.mark.parametrize("way", ["copyTo", "compose"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_source_that_changes_under_a_copy_is_looked_up_again(
    bucket: Any, place: Place, monkeypatch: pytest.MonkeyPatch, way: str, gone: bool
) -> None:
    assert place.cloud is not None
    base = f"{place.rest}/storage/v1/b/{bucket.name}/o"

    def hinder() -> None:
        if gone:
            assert http(f"{base}/source", method="DELETE").status == 204
        else:
            put(place.rest, bucket.name, "source", b"the second")

    def copied(more: str = "") -> Answer:
        with monkeypatch.context() as patch:
            if way == "copyTo":
                objects = place.cloud.use(Storage).objects  # type: ignore[union-attr]
                patch.setattr(objects, "twin", once(hinder, objects.twin))
                return http(f"{base}/source/copyTo/b/{bucket.name}/o/made{more}", method="POST", body=b"{}")
            patch.setattr(object_calls, "_append", once(hinder, object_calls._append))
            one = {"name": "source", **({"generation": more.partition("=")[2]} if more else {})}
            body = json.dumps({"sourceObjects": [one]}).encode()
            return http(f"{base}/made/compose", method="POST", body=body)

    first = put(place.rest, bucket.name, "source", b"the first")
    answer = copied()
    if gone:
        assert answer.status == 404
        assert bucket.get_blob("made") is None
        return
    assert answer.status == 200
    assert bucket.blob("made").download_as_bytes() == b"the second"
    first = put(place.rest, bucket.name, "source", b"the first")
    assert copied(f"?sourceGeneration={first.json['generation']}").status == 404
    assert bucket.blob("made").download_as_bytes() == b"the second"


@pins(
    "storage",
    "Objects",
    "A resumable upload whose client hangs up in the middle, without a Content-Range too, makes no object and goes on "
    "from what has come",
    documented="Performing resumable uploads",
)
def test_a_client_that_hangs_up_makes_no_object(bucket: Any, place: Place) -> None:
    data, sent = os.urandom(1_000_000), 400_000
    start = f"{place.rest}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=broken"
    session = http(start, method="POST", body=b"{}").headers["location"]
    at = urlsplit(session)
    with socket.create_connection((at.hostname, at.port)) as client:
        head = f"PUT {at.path}?{at.query} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data[:sent])

    def ask() -> Answer:
        return http(session, method="PUT", body=b"", headers={"Content-Range": f"bytes */{len(data)}"})

    so_far = ask()
    while so_far.headers.get("range") != f"bytes=0-{sent - 1}" or so_far.status == 503:
        assert so_far.status in (308, 503)
        so_far = ask()
    # The session is read and left in one step of the loop: whatever its end would have made is there by now.
    assert (ask().status, bucket.get_blob("broken")) == (308, None)
    told = {"Content-Range": f"bytes {sent}-{len(data) - 1}/{len(data)}"}
    assert http(session, method="PUT", body=data[sent:], headers=told).status == 200
    assert bucket.blob("broken").download_as_bytes() == data


@pytest.mark.parametrize("where", ["write", "content"])
def test_a_session_that_is_cancelled_meanwhile_is_gone(
    bucket: Any, place: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    assert place.cloud is not None
    sessions = place.cloud.use(Storage).sessions
    start = f"{place.rest}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=cancelled"
    session = http(start, method="POST", body=b"{}").headers["location"]
    hindered = getattr(module := sessions_module, name := {"write": "append", "content": "of_file"}[where])

    def cancel() -> None:
        assert http(session, method="DELETE").status == 499

    monkeypatch.setattr(module, name, once(cancel, hindered))
    assert http(session, method="PUT", body=b"bytes").status == 404
    assert bucket.get_blob("cancelled") is None
    assert not list(sessions._folder.iterdir())


def days(place: Place, number: float) -> None:
    body = json.dumps({"seconds": int(number * DAY)}).encode()
    assert http(f"{place.rest}/_sluice/clock:advance", method="POST", body=body).status == 200


@pins(
    "storage",
    "Buckets",
    "numNewerVersions counts the versions that were there when the look at the rules began",
    documented="Object Lifecycle Management",
)
def test_one_look_deletes_all_versions_that_have_enough_newer_ones(bucket: Any, place: Place) -> None:
    bucket.versioning_enabled = True
    bucket.add_lifecycle_delete_rule(number_of_newer_versions=2, is_live=False)
    bucket.patch()
    for text in ("1", "2", "3", "4", "5", "6"):
        bucket.blob("one").upload_from_string(text)
    days(place, 1)
    left = [blob.download_as_bytes() for blob in bucket.list_blobs(versions=True)]
    assert left == [b"5", b"6"]


@pins(
    "storage",
    "Buckets",
    "The day between two looks at lifecycle rules goes on while the cloud is stopped",
    ours=True,
)
def test_rules_act_in_a_cloud_that_is_restarted_more_often_than_daily(tmp_path: Path) -> None:
    state, name = tmp_path / "cloud", "looked-at"
    rule = {"action": {"type": "Delete"}, "condition": {"age": 0}}

    def there(place: Place) -> bool:
        return http(f"{place.rest}/storage/v1/b/{name}/o/x").status == 200

    with inside(state) as place:
        body = json.dumps({"name": name, "lifecycle": {"rule": [rule]}}).encode()
        assert http(f"{place.rest}/storage/v1/b?project={PROJECT}", method="POST", body=body).status == 200
        put(place.rest, name, "x", b"x")
        days(place, 0.6)
        assert there(place)
    with inside(state) as place:
        days(place, 0.3)
        assert there(place)
        days(place, 0.3)
        assert not there(place)
        put(place.rest, name, "x", b"x")
    clock = state / "clock"  # a day passes while the cloud is stopped
    clock.write_bytes(struct.pack("<d", struct.unpack("<d", clock.read_bytes())[0] + DAY))
    with inside(state) as place:
        assert there(place)
        days(place, 0.01)
        assert not there(place)
