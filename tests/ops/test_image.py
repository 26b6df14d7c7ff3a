"""`sluice image`: a folder of code gets a name, is deployed by it, and is listed."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.alone import Alone, started

APP = """
import os
from wsgiref.simple_server import make_server

def answer(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]

def main():
    make_server(os.environ["HOST"], int(os.environ["PORT"]), answer).serve_forever()
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    folder = tmp_path_factory.mktemp("image")
    (folder / "code").mkdir()
    (folder / "code/served.py").write_text(APP)
    with started(folder, "--project", "my-app") as cloud:
        yield cloud


def test_a_folder_is_registered_and_served_under_its_name(cloud: Alone) -> None:
    assert "no image is registered" in cloud.sluice("image", "list").stdout
    words = ("--root", "code", "--entry", "served:main", "--preload", "json, wsgiref.simple_server")
    said = cloud.sluice("image", "add", "served:v1", *words).stdout
    assert "gcloud run deploy SERVICE --image=served:v1" in said
    root = str((cloud.folder / "code").resolve())
    kept = {"digest": "served:v1", "root": root, "entry": "served:main", "preload": ["json", "wsgiref.simple_server"]}
    assert json.loads(cloud.sluice("image", "list", "--json").stdout) == {"images": [kept]}
    service = {"template": {"containers": [{"image": "served:v1"}]}, "invokerIamDisabled": True}
    parent = f"{cloud.url}/v2/projects/my-app/locations/us-central1"
    body = json.dumps(service).encode()
    made = urllib.request.Request(
        f"{parent}/services?serviceId=served", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(made, timeout=60) as answer:
        operation = json.load(answer)["name"]
    waiting = urllib.request.Request(f"{cloud.url}/v2/{operation}:wait", b"{}", method="POST")
    with urllib.request.urlopen(waiting, timeout=60) as answer:
        assert "error" not in json.load(answer)
    with urllib.request.urlopen(f"{parent}/services/served", timeout=60) as answer:
        uri = json.load(answer)["uri"]
    with urllib.request.urlopen(uri, timeout=60) as answer:
        assert answer.read() == b"served"


def test_a_digest_is_registered_by_what_stands_behind_the_at(cloud: Alone) -> None:
    digest = "sha256:" + "a" * 64
    said = cloud.sluice("image", "add", f"reg/x@{digest}", "--root", "code", "--entry", "served:main", "--json").stdout
    assert json.loads(said)["digest"] == digest


def test_a_folder_that_is_not_there_is_refused(cloud: Alone, tmp_path: Path) -> None:
    done = cloud.sluice("image", "add", "x", "--root", str(tmp_path / "gone"), "--entry", "app:main", check=2)
    assert "there is no folder" in done.stderr
