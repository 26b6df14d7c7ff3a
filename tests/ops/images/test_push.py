"""Images at registries: pushed as docker would to the local cloud's, taken up where that broke off, and pinned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from ops.errors import BadUsage, OpsError
from ops.images import archives, foreign, layout
from ops.images.build import Builder, Built
from ops.images.commit import find
from ops.images.pin import pin
from ops.images.registry import Reference, Registry, RegistryRefused
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.images.pusher import make_repository
from tests.local_cloud.run_client import http
from tests.ops.alone import ROOT, sluice
from tests.ops.images.reading import config, entries
from tests.ops.images.toy import Toy, deb

REPOSITORY = f"{PROJECT}/sluice/services"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("cloud") / "state") as made:
        make_repository(made.rest, "sluice")
        yield made


def registry(place: Place, said: list[str], *, door: str = "rest", name: str = REPOSITORY) -> Registry:
    reference = Reference.parse(f"127.0.0.1:{place.ports[door]}/{name}")
    return Registry(reference=reference, say=said.append, pause=lambda _: None)


def ask(place: Place, path: str, name: str = REPOSITORY) -> object:
    answer = http(f"{place.rest}/v2/{name}/{path}")
    assert answer.status == 200, answer.body
    return answer.json


def test_an_image_is_pushed_with_its_bill_and_found_by_digest_and_tag(place: Place, toy: Toy) -> None:
    built = toy.build()
    to = registry(place, [])
    to.push(built.image, "release-1")
    to.push(built.attached)
    assert to.manifest("release-1") == to.manifest(built.image.digest) == built.image.manifest
    referrers = ask(place, f"referrers/{built.image.digest}")
    assert isinstance(referrers, dict)
    (bill,) = referrers["manifests"]
    assert (bill["digest"], bill["artifactType"]) == (built.attached.digest, "application/spdx+json")
    manifest = json.loads(to.manifest(bill["digest"]))
    assert to.blob(manifest["layers"][0]["digest"]) == built.bill


def test_what_the_registry_has_is_not_sent_again(place: Place, toy: Toy) -> None:
    first = toy.build()
    name = f"{PROJECT}/sluice/twice-{uuid4().hex}"
    registry(place, [], name=name).push(first.image)
    toy.commit(service_code__one__app_dot_py=f"print('{name}')\n")
    said: list[str] = []
    registry(place, said, name=name).push(toy.build().image)
    sent = [line for line in said if not line.endswith("is there")]
    assert (len(said), len(sent)) == (4, 2), "configuration and code are new"


def test_a_push_that_broke_off_goes_on_where_it_was(place: Place, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    built = toy.build()
    to = registry(place, [], name=f"{PROJECT}/sluice/broken")
    once, asked = Registry._once, []

    def breaks(self: Registry, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> object:
        asked.append(method)
        if method == "PUT" and len(asked) < 12:
            return 503, {}, b""
        return once(self, method, url, body, headers)

    monkeypatch.setattr(Registry, "_once", breaks)
    with pytest.raises(RegistryRefused, match="was answered 503"):
        to.push(built.image)
    to.push(built.image, "whole")
    assert to.manifest("whole") == built.image.manifest


def test_whoever_may_not_write_is_told_which_role_helps(
    place: Place, toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built, account = toy.build(), f"pusher-{uuid4().hex[:8]}"
    email = f"{account}@{PROJECT}.iam.gserviceaccount.com"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    to = registry(place, [], door="service_rest", name=f"{PROJECT}/sluice/guarded")
    with pytest.raises(RegistryRefused, match="gives no token") as refused:
        to.push(built.image)
    assert "docker login" in refused.value.fix
    http(
        f"{place.rest}/v1/projects/{PROJECT}/serviceAccounts",
        method="POST",
        body=json.dumps({"accountId": account}).encode(),
    )
    asked = http(f"{place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken", method="POST",
                 body=b'{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}')  # fmt: skip
    monkeypatch.setenv("SLUICE_REGISTRY_TOKEN", asked.json["accessToken"])
    with pytest.raises(RegistryRefused, match="was answered 403") as refused:
        to.push(built.image)
    assert "roles/artifactregistry.writer" in refused.value.fix
    binding = {"role": "roles/artifactregistry.writer", "members": [f"serviceAccount:{email}"]}
    name = f"projects/{PROJECT}/locations/us-central1/repositories/sluice"
    policy = json.dumps({"policy": {"bindings": [binding]}}).encode()
    assert http(f"{place.rest}/v1/{name}:setIamPolicy", method="POST", body=policy).status == 200
    to.push(built.image)


def test_an_image_is_built_on_a_base_of_a_registry(place: Place, toy: Toy) -> None:
    toy.commit(service_code__base_dot_lock=(toy.root / "service_code/base.lock").read_text() + _python(toy))
    below = toy.build()
    registry(place, [], name=f"{PROJECT}/sluice/base").push(below.image, "v1")
    name = f"127.0.0.1:{place.ports['rest']}/{PROJECT}/sluice/base"
    base = foreign.base(f"{name}@{below.image.digest}", lambda _: None)
    built = Builder(say=lambda _: None, compiles=False).build(find(toy.root), base)
    assert [one.diff_id for one in built.layers[:3]] == [one.diff_id for one in below.layers]
    value = json.loads(built.image.manifest)
    assert len(value["layers"]) == len(config(built)["rootfs"]["diff_ids"]) == 5, "what comes twice is named twice"
    assert "app/service_code/one/app.py" in entries(built)
    labels = config(built)["config"]["Labels"]
    assert labels["org.opencontainers.image.base.digest"] == below.image.digest
    with pytest.raises(BadUsage, match="names no digest"):
        foreign.base(f"{name}:v1", print)


def _python(toy: Toy) -> str:
    """A line of the lock for a package that has an interpreter, which is none."""
    data = deb("python3.11-minimal", {"usr/bin/python3.11": b"\x7fELF"})
    sha256 = hashlib.sha256(data).hexdigest()
    archives.keep(archives.cache("debian"), data, sha256)
    return f"python3.11-minimal 1.0 sha256:{sha256} pool/main/p/python3.11-minimal_1.0_amd64.deb\n"


def test_a_layout_is_read_back_and_a_damaged_one_is_not_pushed(toy: Toy, tmp_path: Path) -> None:
    built = toy.build()
    for place in (tmp_path / "image", tmp_path / "image.tar"):
        layout.write(place, [built.image, built.attached])
        assert layout.read(place) == [built.image, built.attached]
    layout.write(tmp_path / "image", [built.image])  # again, over what was there
    (tmp_path / "image/blobs" / built.image.digest.replace(":", "/")).write_bytes(b"{}")
    with pytest.raises(OpsError, match="has another digest"):
        layout.read(tmp_path / "image")
    with pytest.raises(BadUsage, match="is there and is no image"):
        layout.write(toy.root, [built.image])
    layout.check(tmp_path / "image.tar")
    foreign = tmp_path / "thesis.tar"
    foreign.write_text("years of work")
    with pytest.raises(BadUsage, match="is there and is no image"):
        layout.check(foreign)
    with pytest.raises(BadUsage, match="is no image"):
        layout.read(toy.root)


def test_the_command_pushes_a_layout_and_prints_the_digest(place: Place, toy: Toy, tmp_path: Path) -> None:
    built: Built = toy.build()
    layout.write(tmp_path / "image", [built.image, built.attached])
    name = f"127.0.0.1:{place.ports['rest']}/{PROJECT}/sluice/by-command"
    answer = json.loads(sluice(tmp_path, "image", "push", "image", name, "--json").stdout)
    tag = built.commit.name[:12]
    image = f"{name}@{built.image.digest}"
    assert answer == {"digest": built.image.digest, "image": image, "tag": tag, "pinned": None}
    wrong = sluice(tmp_path, "image", "push", "image", name, "--pin", "proud", check=2).stderr
    assert "stacks that have one: dev, prod, staging" in wrong


def test_the_digest_is_pinned_and_nothing_else_of_the_file_changes(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    text = (ROOT / "stacks/Pulumi.prod.yaml").read_text()
    (tmp_path / "stacks/Pulumi.prod.yaml").write_text(text.replace("Digest: sha256:", "Digest:  'sha256:", 1).replace(
        "0" * 64, f"{'0' * 64}'  # the release", 1))  # fmt: skip
    digest = "sha256:" + "ab" * 32
    before = (tmp_path / "stacks/Pulumi.prod.yaml").read_text().splitlines()
    after = pin(tmp_path, "prod", digest).read_text().splitlines()
    changed = [line for old, line in zip(before, after, strict=True) if old != line]
    assert changed == [f"  sluice:imageDigest:  {digest}  # the release"]
    assert yaml.safe_load("\n".join(after))["config"]["sluice:imageDigest"] == digest


@pytest.mark.parametrize(
    "text", ["services", "sluice/services", "HOST/Services", "us-docker.pkg.dev/", "a.b/c@sha256:1"]
)
def test_what_names_no_image_at_a_registry_is_refused(text: str) -> None:
    with pytest.raises(BadUsage, match="is no image at a registry"):
        Reference.parse(text)
