"""Both layers applied by the local engine: to its stand-in, and to the local cloud."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

import local_engine
from local_engine import Ports, Result
from local_engine.run import Mode
from local_engine.state import looked_at
from spec import load
from tests.components.conftest import DIGEST
from tests.local_cloud.image import tiny_image
from tests.local_engine.local_cloud import call, running
from tests.local_engine.standin import StandIn, serving

ROOT = Path(__file__).parents[2]
LAYERS = ("foundation-local", "local")
#: What every secret holds, and no state.
VALUE = "x" * 64


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with serving() as cloud:
        yield cloud


def apply(layer: str, state: Path, config: dict[str, str], ports: Ports | None = None, mode: Mode = "up") -> Result:
    image = {"sluice:imageDigest": DIGEST} if layer == "local" else {}
    given = {key: value for key, value in config.items() if key.endswith("Endpoint")} | image
    result = local_engine.run(layer, root=ROOT, mode=mode, state_dir=state, overrides=given, ports=ports)
    assert result.ok, "\n".join(map(str, result.problems))
    return result


def test_a_foundation_that_exports_too_little_is_named(tmp_path: Path, standin: StandIn) -> None:
    given = {key: value for key, value in standin.config().items() if key.endswith("Endpoint")}
    given |= {"sluice:imageDigest": DIGEST}
    for layer, program in (("foundation-local", lambda: pulumi.export("older", "x")), ("local", None)):
        result = local_engine.run(layer, root=ROOT, mode="up", state_dir=tmp_path, overrides=given, program=program)
    assert "Apply it first: pulumi up --stack foundation-local" in "\n".join(map(str, result.problems))
    assert standin.written() == []


@pytest.fixture
def local_cloud(tmp_path: Path) -> Iterator[Ports]:
    with running(tmp_path) as ports:
        yield ports


def furnish(ports: Ports, folder: Path) -> None:
    """What stands outside of the program: the image, whose migrations say nothing, and a value for every secret."""
    kit = folder / "service_code" / "kit"
    kit.mkdir(parents=True)
    (kit / "migrate.py").write_text("def main():\n    return 0\n")
    image = tiny_image(folder, DIGEST)
    manifest = {"digest": DIGEST, "root": image.root, "entry": image.entry, "preload": image.preload}
    call(ports, "POST", "/_sluice/images", manifest)
    for secret in load(ROOT).secrets:
        data = base64.b64encode(VALUE.encode()).decode()
        call(ports, "POST", f"/v1/projects/sluice-local/secrets/{secret}:addVersion", {"payload": {"data": data}})


@pytest.mark.stack
def test_the_local_cloud_takes_both_layers_and_nothing_moves_by_itself(tmp_path: Path, local_cloud: Ports) -> None:
    made = [apply("foundation-local", tmp_path / "engine", {}, local_cloud)]
    furnish(local_cloud, tmp_path / "image")
    made.append(apply("local", tmp_path / "engine", {}, local_cloud))
    assert [set(result.counts) for result in made] == [{"create"}, {"create"}]
    results = [apply(layer, tmp_path / "engine", {}, local_cloud) for layer in LAYERS]
    assert [(result.changed, result.writes) for result in results] == [(False, 0), (False, 0)]
    assert set(call(local_cloud, "GET", "/_sluice/deployers")[1]["deployers"]) == set(LAYERS)
    for layer in LAYERS:
        state = looked_at(tmp_path / "engine", layer)
        assert state is not None
        assert not [record.name for record in state.records.values() if VALUE in str(record.as_json())]
    for layer in reversed(LAYERS):
        assert set(apply(layer, tmp_path / "engine", {}, local_cloud, "destroy").counts) == {"delete"}
    assert call(local_cloud, "GET", "/_sluice/deployers")[1] == {"deployers": {}}
