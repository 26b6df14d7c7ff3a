"""Objects, with Google's own client: bytes in and out, preconditions, versions, lists, copies."""

import base64
import gzip
import hashlib
import io
import os
import threading
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.run_client import http


@pins(
    "storage",
    "Objects",
    "Bytes go in by media, multipart and resumable uploads and come out as they were, with CRC-32C and MD5",
    documented="Objects: insert, get",
)
@pytest.mark.parametrize("size", [0, 1, 100_000, 300_000])
def test_bytes_come_out_as_they_went_in(bucket: Any, size: int) -> None:
    data = os.urandom(size)
    for name, step in (("whole", None), ("in/pieces é", 256 * 1024)):
        blob = bucket.blob(name, chunk_size=step)
        blob.metadata = {"from": "test"}
        blob.upload_from_file(io.BytesIO(data), content_type="text/x-test", checksum="md5")
        found = bucket.get_blob(name)
        assert found.download_as_bytes(checksum="crc32c") == data
        assert (found.size, found.content_type, found.metadata) == (size, "text/x-test", {"from": "test"})
        assert found.md5_hash == base64.b64encode(hashlib.md5(data).digest()).decode()
        checksum: Any = google_crc32c.Checksum
        assert found.crc32c == base64.b64encode(checksum(data).digest()).decode()
        assert found.id == f"{bucket.name}/{name}/{found.generation}"


@pins(
    "storage", "Objects", "Ranges: part, end and beyond (416); an object that is not there is named", documented="get"
)
def test_ranges_of_an_object_are_read(bucket: Any) -> None:
    blob = bucket.blob("letters")
    blob.upload_from_string("abcdefghij")
    assert blob.download_as_bytes(start=2, end=4) == b"cde"
    assert blob.download_as_bytes(start=7) == b"hij"
    assert blob.download_as_bytes(start=-3) == b"hij"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10, end=12)
    with pytest.raises(exceptions.NotFound, match="No such object: " + bucket.name + "/nothing"):
        bucket.blob("nothing").download_as_bytes()
    assert bucket.get_blob("nothing") is None


@pins(
    "storage",
    "Objects",
    "A refusal of bytes (alt=media) is its words alone, as text; of metadata it is JSON",
    observed="answers printed in firebase/firebase-tools#3647",
)
@pytest.mark.parametrize("door", ["storage/v1", "download/storage/v1"])
def test_a_refusal_of_bytes_is_text(place: Place, bucket: Any, door: str) -> None:
    bucket.blob("there").upload_from_string("1")
    for query, name, status, words in (
        ("", "gone", 404, f"No such object: {bucket.name}/gone"),
        ("&ifGenerationMatch=1", "there", 412, "At least one of the pre-conditions you specified did not hold."),
    ):
        refused = http(f"{place.rest}/{door}/b/{bucket.name}/o/{name}?alt=media{query}")
        assert (refused.status, refused.body.decode()) == (status, words)
        assert refused.headers["content-type"] == "text/html; charset=UTF-8"
    assert http(f"{place.rest}/storage/v1/b/{bucket.name}/o/gone").json["error"]["code"] == 404


@pins(
    "storage",
    "Objects",
    "Preconditions: ifGenerationMatch (0: not there), ifMetagenerationMatch, their negations: 412, or 304 when reading",
    documented="Request preconditions",
)
def test_preconditions_hold_or_refuse(bucket: Any) -> None:
    blob = bucket.blob("record")
    blob.upload_from_string("one", if_generation_match=0)
    first = blob.generation
    with pytest.raises(exceptions.PreconditionFailed, match="pre-conditions you specified did not hold"):
        bucket.blob("record").upload_from_string("again", if_generation_match=0)
    blob.upload_from_string("two", if_generation_match=first)
    assert blob.generation > first
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("record").upload_from_string("late", if_generation_match=first)
    blob.content_language = "en"
    blob.patch(if_metageneration_match=1)
    assert blob.metageneration == 2
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=blob.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=first)
    assert blob.download_as_bytes(if_generation_match=blob.generation) == b"two"
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


@pins(
    "storage",
    "Objects",
    "Compare and set: of many who write over the same generation at once one succeeds, the others get 412",
    documented="Request preconditions (race conditions)",
)
def test_of_many_writers_over_one_generation_one_succeeds(bucket: Any, place: Place) -> None:
    bucket.blob("counter").upload_from_string("0")
    url = f"{place.rest}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=counter"
    barrier, wins = threading.Barrier(4), []

    def add(rounds: int) -> None:
        barrier.wait()
        for _ in range(rounds):
            while True:
                read = http(f"{place.rest}/storage/v1/b/{bucket.name}/o/counter?alt=media")
                at = read.headers["x-goog-generation"]
                body = str(int(read.body) + 1).encode()
                written = http(f"{url}&ifGenerationMatch={at}", method="POST", body=body)
                assert written.status in (200, 412), written.body
                if written.status == 200:
                    wins.append(at)
                    break

    threads = [threading.Thread(target=add, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bucket.blob("counter").download_as_bytes() == b"40"
    assert len(set(wins)) == 40


@pins(
    "storage",
    "Objects",
    "A resumable upload says how far it has come (308 and Range) and goes on from there; a piece that is sent again is "
    "taken once; its preconditions hold at the end",
    documented="Performing resumable uploads",
)
def test_a_resumable_upload_goes_on_after_a_break(bucket: Any, place: Place) -> None:
    data, step = os.urandom(600_000), 262_144
    start = f"{place.rest}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=big&ifGenerationMatch=0"
    session = http(start, method="POST", body=b'{"contentType": "a/b"}').headers["location"]

    def put(first: int, last: int) -> Any:
        told = {"Content-Range": f"bytes {first}-{last - 1}/{len(data)}"}
        return http(session, method="PUT", body=data[first:last], headers=told)

    def ask() -> Any:
        return http(session, method="PUT", body=b"", headers={"Content-Range": f"bytes */{len(data)}"})

    assert (ask().status, ask().headers.get("range")) == (308, None)
    assert (put(0, step).status, ask().headers["range"]) == (308, f"bytes=0-{step - 1}")
    assert put(0, 2 * step).headers["range"] == f"bytes=0-{2 * step - 1}"
    assert put(3 * step, 3 * step + 10).status == 503
    done = put(2 * step, len(data))
    assert done.status == 200
    assert done.json["contentType"] == "a/b"
    assert bucket.blob("big").download_as_bytes() == data
    assert ask().status == 404
    late = http(start, method="POST", body=b"{}")
    assert late.status == 412


@pins("storage", "Objects", "Bytes that are not what their sender's checksum says are refused", documented="Hashes")
def test_a_wrong_checksum_is_refused(bucket: Any, place: Place) -> None:
    url = f"{place.rest}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=x"
    answer = http(url, method="POST", body=b"data", headers={"x-goog-hash": "crc32c=AAAAAA=="})
    assert answer.status == 400
    assert "doesn't match calculated CRC32C" in answer.json["error"]["message"]
    assert bucket.get_blob("x") is None


@pins(
    "storage",
    "Objects",
    "Lists: prefix, delimiter, glob, bounds, pages; names in the order of their UTF-8",
    documented="Objects: list",
)
def test_lists_are_cut_as_asked(bucket: Any) -> None:
    names = ["a.txt", "b/1.txt", "b/2.log", "b/c/3.txt", "d/4.txt", "ü"]
    for name in names:
        bucket.blob(name).upload_from_string("")

    def listed(**asked: Any) -> tuple[list[str], list[str]]:
        found = bucket.list_blobs(**asked)
        return [one.name for one in found], sorted(found.prefixes)

    assert listed() == (names, [])
    assert listed(delimiter="/") == (["a.txt", "ü"], ["b/", "d/"])
    assert listed(prefix="b/", delimiter="/") == (["b/1.txt", "b/2.log"], ["b/c/"])
    assert listed(match_glob="**.txt")[0] == ["a.txt", "b/1.txt", "b/c/3.txt", "d/4.txt"]
    assert listed(match_glob="b/*.{txt,log}")[0] == ["b/1.txt", "b/2.log"]
    assert listed(start_offset="b/2", end_offset="d")[0] == ["b/2.log", "b/c/3.txt"]
    pages = [[one.name for one in page] for page in bucket.list_blobs(page_size=4).pages]
    assert pages == [names[:4], names[4:]]
    found = bucket.list_blobs(delimiter="/", page_size=1)
    assert sum(len(list(page)) for page in found.pages) == 2
    assert sorted(found.prefixes) == ["b/", "d/"]


@pins(
    "storage",
    "Objects",
    "With versioning an object that is replaced or deleted becomes noncurrent, and is there by its generation until "
    "that is deleted",
    documented="Object versioning",
)
def test_versions_are_kept_where_the_bucket_says_so(bucket: Any) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    blob = bucket.blob("doc")
    blob.upload_from_string("one")
    first = blob.generation
    blob.upload_from_string("two")
    second = blob.generation
    bucket.blob("doc").delete()
    assert bucket.get_blob("doc") is None
    assert bucket.blob("doc", generation=first).download_as_bytes() == b"one"
    versions = list(bucket.list_blobs(versions=True))
    assert [(v.generation, v.time_deleted is not None) for v in versions] == [(first, True), (second, True)]
    bucket.copy_blob(bucket.blob("doc"), bucket, "doc", source_generation=first)
    assert bucket.blob("doc").download_as_bytes() == b"one"
    bucket.blob("doc", generation=second).delete()
    assert second not in [v.generation for v in bucket.list_blobs(versions=True)]


@pins(
    "storage", "Objects", "Copy, rewrite and compose make objects of others; metadata comes along", documented="rewrite"
)
def test_objects_are_made_of_others(client: Any, bucket: Any) -> None:
    for name, text in (("one", "1"), ("two", "22")):
        blob = bucket.blob(name)
        blob.metadata = {"n": name}
        blob.upload_from_string(text, content_type="a/b")
    copy = bucket.copy_blob(bucket.blob("one"), bucket, "copy")
    assert (copy.download_as_bytes(), copy.metadata, copy.content_type) == (b"1", {"n": "one"}, "a/b")
    target = bucket.blob("rewritten")
    assert target.rewrite(bucket.blob("two")) == (None, 2, 2)
    joined = bucket.blob("joined")
    joined.compose([bucket.blob("one"), bucket.blob("two"), bucket.blob("copy")])
    assert joined.download_as_bytes() == b"1221"
    assert (joined.component_count, joined.md5_hash) == (3, None)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("joined").compose([bucket.blob("one")], if_generation_match=0)
    bucket.rename_blob(bucket.blob("joined"), "renamed")
    assert bucket.get_blob("joined") is None
    with pytest.raises(exceptions.NotFound):
        bucket.blob("x").compose([bucket.blob("nothing")])


@pins(
    "storage",
    "Objects",
    "Holds and the bucket's retention keep an object from being deleted or overwritten, by the cloud's clock",
    documented="Bucket Lock; object holds",
)
def test_holds_and_retention_keep_an_object(bucket: Any, place: Place) -> None:
    blob = bucket.blob("kept")
    blob.upload_from_string("x")
    blob.temporary_hold = True
    blob.patch()
    with pytest.raises(exceptions.Forbidden, match="under active Temporary hold"):
        blob.delete()
    blob.temporary_hold = False
    blob.patch()
    bucket.retention_period = 3600
    bucket.patch()
    with pytest.raises(exceptions.Forbidden, match="subject to bucket's retention policy"):
        bucket.blob("kept").upload_from_string("y", retry=None)
    assert bucket.get_blob("kept").retention_expiration_time is not None
    bucket.lock_retention_policy()
    bucket.retention_period = 60
    with pytest.raises(exceptions.Forbidden, match="locked Retention Policy"):
        bucket.patch()
    http(f"{place.rest}/_sluice/clock:advance", method="POST", body=b'{"seconds": 3601}')
    blob.delete()


@pins(
    "storage", "Objects", "Stored gzip is unpacked for a caller that takes none", documented="Transcoding of gzip files"
)
def test_stored_gzip_is_unpacked_for_who_takes_none(bucket: Any, place: Place) -> None:
    blob = bucket.blob("packed")
    blob.content_encoding = "gzip"
    packed = gzip.compress(b"plain text")
    blob.upload_from_string(packed, content_type="text/plain")
    url = f"{place.rest}/storage/v1/b/{bucket.name}/o/packed?alt=media"
    assert http(url).body == b"plain text"
    assert http(url, headers={"Accept-Encoding": "gzip"}).body == packed


@pins(
    "storage",
    "Objects",
    "Many requests in one (batch): each is answered by itself",
    documented="Sending batch requests",
)
def test_a_batch_is_answered_part_by_part(client: Any, bucket: Any) -> None:
    for name in ("one", "two"):
        bucket.blob(name).upload_from_string(name)
    with client.batch():
        for name in ("one", "two"):
            blob = bucket.blob(name)
            blob.metadata = {"a": "b"}
            blob.patch()
    assert [one.metadata for one in bucket.list_blobs()] == [{"a": "b"}, {"a": "b"}]
    batch = client.batch()
    batch.__enter__()
    bucket.blob("one").delete()
    bucket.blob("nothing").delete()
    with pytest.raises(exceptions.NotFound):
        batch.__exit__(None, None, None)
    assert [one.name for one in bucket.list_blobs()] == ["two"]
