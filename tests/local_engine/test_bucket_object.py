"""An object that the program holds: the provider's calls, and what a hold from outside does to an apply."""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pulumi
import pulumi_gcp as gcp
import pytest

import local_engine
from local_engine import Ports, Result
from local_engine.cloud import Cloud, Media
from local_engine.resources import registry
from local_engine.run import Mode
from tests.local_engine.local_cloud import ROOT, call, running

RECORDED = json.loads((Path(__file__).parent / "bucket_object.json").read_text())["calls"]
KIND = registry()["gcp:storage/bucketObject:BucketObject"]
OBJECT = "/storage/v1/b/the-bucket/o/record.json"


class Listener(Cloud):
    """Answers every call with one object, and remembers the calls."""

    def __init__(self) -> None:
        super().__init__({"storage": "http://cloud.example/storage/v1/"})
        self.heard: list[dict[str, Any]] = []

    def _send(self, method: str, url: str, body: Any) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(url)
        made: dict[str, Any] = {"call": f"{method} {parts.path}"}
        if parts.query:
            made["query"] = dict(parse_qsl(parts.query))
        if isinstance(body, Media):
            made |= {"said": body.said, "kind": body.kind, "content": body.data.decode()}
        elif body is not None:
            made["said"] = body
        self.heard.append(made)
        return 200, {}


def test_the_calls_are_those_that_the_provider_was_recorded_making() -> None:
    given = {
        **{"bucket": "the-bucket", "name": "record.json", "content": "one"},
        **{"cacheControl": "no-store", "contentType": "application/json"},
    }
    two = given | {"content": "two"}
    cloud, heard = Listener(), {}

    def phase(name: str) -> None:
        heard[name], cloud.heard = cloud.heard, []

    identity, _ = KIND.create(cloud, given)
    phase("create")
    KIND.update(cloud, identity, given, two, frozenset({"content"}))
    phase("change")
    KIND.read(cloud, identity, two)
    phase("refresh")
    KIND.update(cloud, identity, two, two | {"temporaryHold": True}, frozenset({"temporaryHold"}))
    phase("hold")
    KIND.delete(cloud, identity, two)
    KIND.create(cloud, two | {"cacheControl": "private"})
    phase("replace")
    KIND.delete(cloud, identity, two)
    phase("delete")
    assert identity == "the-bucket-record.json"
    assert heard == RECORDED


def test_an_upload_is_a_multipart_body_that_others_can_read() -> None:
    content, kind = Media({"bucket": "b"}, "\r\n--x\r\n€".encode(), "application/json").encoded()
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    said, data = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content).iter_parts()
    assert json.loads(str(said.get_payload())) == {"bucket": "b"}
    assert data.get_payload(decode=True) == "\r\n--x\r\n€".encode()


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    with running(tmp_path) as found:
        yield found


def test_it_is_written_refused_while_it_is_held_and_quiet_afterwards(tmp_path: Path, ports: Ports) -> None:
    def run(content: str, mode: Mode = "up", cache: str = "no-store", *, ignoring: bool = False) -> Result:
        def program() -> None:
            bucket = gcp.storage.Bucket("b", name="the-bucket", location="us-central1")
            made = gcp.storage.BucketObject(
                "record",
                bucket=bucket.name,
                name="record.json",
                content=content,
                content_type="application/json",
                cache_control=cache,
                opts=pulumi.ResourceOptions(ignore_changes=["temporaryHold"] if ignoring else []),
            )
            pulumi.export("generation", made.generation)

        state = tmp_path / "engine"
        return local_engine.run("local", root=ROOT, mode=mode, state_dir=state, ports=ports, program=program)

    def writes(result: Result) -> int:
        assert result.ok, result.problems
        return result.writes

    first = run("first-words")
    assert first.ok
    found = call(ports, "GET", OBJECT)[1]
    assert first.outputs["generation"] == int(found["generation"])
    assert (found["contentType"], found["cacheControl"]) == ("application/json", "no-store")
    assert writes(run("first-words")) == 0

    shown = run("second-words", "preview")
    assert shown.changed
    assert "-words" not in json.dumps(shown.as_json()), "no preview says what is in it"
    assert writes(run("second-words")) == 1
    assert "-words" not in "".join(path.read_text() for path in (tmp_path / "engine").rglob("*.json"))

    call(ports, "PATCH", OBJECT, {"temporaryHold": True})
    (seen,) = [step for step in run("second-words", "preview").steps if step.changes]
    assert [change.path for change in seen.changes] == ["temporaryHold"], "an apply would take the hold away"
    assert not run("second-words", "preview", ignoring=True).changed, "where the program leaves holds to others"
    refused = run("third-words", ignoring=True)
    (problem,) = [problem for problem in refused.problems if "active Temporary hold" in problem.what]
    assert all(f"rollout {verb}" in problem.fix for verb in ("status", "resume", "abort"))
    assert "give the caller" not in problem.fix
    assert call(ports, "GET", OBJECT)[1]["temporaryHold"]
    gone = run("second-words", cache="private", ignoring=True)
    assert not gone.ok, "nor may it be replaced"

    call(ports, "PATCH", OBJECT, {"temporaryHold": False})
    assert writes(run("second-words", ignoring=True)) == 0
    call(ports, "POST", "/upload/storage/v1/b/the-bucket/o?uploadType=media&name=record.json", {"other": 1})
    (seen,) = [step for step in run("second-words", "preview").steps if step.changes]
    assert {change.path for change in seen.changes} == {"detectMd5hash", "cacheControl"}
    assert run("second-words").ok
    assert run("", "destroy").ok
    assert call(ports, "GET", OBJECT)[0] == 404
