"""The services' own image: built here, pushed to the local cloud's registry, and deployed from there by its digest.

What a test of this file needs and this machine lacks is said: Debian's packages (fetched once, then kept), namespaces.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.images import bytecode
from tests.local_cloud.images.pusher import make_repository
from tests.local_cloud.images.test_running_images import can_contain
from tests.ops.alone import ROOT, Alone, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not bytecode.possible(), reason="the image's programs run on Linux on amd64 alone"),
]

#: The service that needs neither database nor chain to be well.
SERVICE = "gchostpay2"
ENV = {
    "SLUICE_STACK": "local",
    "GCP_PROJECT_ID": "sluice-local",
    "GCP_PROJECT_NUMBER": "123456789012",
    "GCP_LOCATION": "us-central1",
    "SERVICE_URL": "https://gchostpay2.example",
    "HOSTPAY_INTERNAL_SIGNING_KEY": "k" * 64,
    "CHANGENOW_API_KEY": "c" * 32,
}
#: Says in one line each what the image must have for services, migrations and calls over TLS.
LOOK = """\
import os, pathlib, ssl, subprocess, sys
import asyncpg, coincurve, cryptography.hazmat.bindings._rust, Crypto.Hash.keccak, eth_account, pydantic_core, uvloop
import service_code.kit.migrate, service_code.gchostpay.app
loaded = [m for m in sys.modules.values() if (getattr(m, "__file__", None) or "").endswith(".py")]
lacking = [m.__name__ for m in loaded if not os.path.exists(getattr(m, "__cached__", None) or "/")]
print("uid", os.getuid())
print("writable", [str(p) for p in (pathlib.Path("/app"), pathlib.Path("/usr/bin")) if os.access(p, os.W_OK)])
print("authorities", ssl.create_default_context().cert_store_stats()["x509_ca"] > 100)
print("not compiled", lacking)
dbmate = pathlib.Path(sys.prefix, "bin/dbmate")
print(subprocess.run([dbmate, "--version"], capture_output=True, text=True, check=True).stdout.split()[0])
print("elsewhere", sorted({m.__file__ for m in loaded if not m.__file__.startswith(("/app/", "/usr/lib/python3.11/"))}))
"""


def build(root: Path, *words: str, umask: int = 0o022, **env: str) -> dict[str, Any]:
    """`sluice image build --json` of the checkout at `root`; skips where its packages are not reached."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", "image", "build", "--json", "--commit", "HEAD", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **env},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer and re.search("could not (be fetched|fetch)", answer["error"]["what"]):
        pytest.skip(f"what an image is made of is not reached from here: {answer['error']['what']}")
    assert "error" not in answer, answer
    return answer


def answer_of(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Alone]:
    if not can_contain():
        pytest.skip("this machine gives no namespaces")
    with started(tmp_path, "--project", "sluice-local") as cloud:
        make_repository(cloud.url, "sluice")
        yield cloud


def test_the_image_that_is_built_answers_from_the_registry_by_its_digest(cloud: Alone, tmp_path: Path) -> None:
    to = f"127.0.0.1:{cloud.port}/sluice-local/sluice/services"
    built = build(ROOT, "--output", str(tmp_path / "image"), "--push", to)
    assert built["image"] == f"{to}@{built['digest']}"
    answers(cloud, built["image"])
    has_what_services_need(cloud, built["image"])


def waited(cloud: Alone, operation: str) -> Any:
    """An operation that is over: one wait is bounded, and a machine may be busy."""
    while not (found := answer_of(f"{cloud.url}/v2/{operation}:wait", {})).get("done"):
        pass
    return found


def answers(cloud: Alone, image: str) -> None:
    """A service is deployed of it, and is well."""
    container = {
        "image": image,
        "args": [SERVICE],
        "env": [{"name": name, "value": value} for name, value in ENV.items()],
        "startupProbe": {"httpGet": {"path": "/health"}},
    }
    parent = f"{cloud.url}/v2/projects/sluice-local/locations/us-central1"
    service = {"template": {"containers": [container]}, "invokerIamDisabled": True}
    operation = answer_of(f"{parent}/services?serviceId={SERVICE}", service)["name"]
    assert "error" not in waited(cloud, operation)
    made = answer_of(f"{parent}/services/{SERVICE}")
    health = answer_of(f"{made['uri']}/health")
    assert (health["status"], health["service"]) == ("ok", SERVICE), health
    assert made["template"]["containers"][0]["image"] == image


def has_what_services_need(cloud: Alone, image: str) -> None:
    """A job looks around in it."""
    parent = f"{cloud.url}/v2/projects/sluice-local/locations/us-central1"
    task = {"containers": [{"image": image, "command": ["python", "-c", LOOK]}], "maxRetries": 0}
    answer_of(f"{parent}/jobs?jobId=look", {"template": {"template": task}})
    done = waited(cloud, answer_of(f"{parent}/jobs/look:run", {})["name"])
    said = cloud.sluice("logs").stdout
    assert done.get("response", {}).get("succeededCount") == 1, f"{done}\n{said}"
    for line in ("uid 10001", "writable []", "authorities True", "not compiled []", "dbmate", "elsewhere []"):
        assert line in said
