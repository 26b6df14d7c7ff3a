"""Layers laid over a folder: nothing outside it is touched, whatever names and links they have."""

import contextlib
import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_cloud.images import layers
from local_cloud.images.layers import Budget, LayerError
from tests.fidelity import pins
from tests.local_cloud.images.pusher import Entry, digest_of, layer

TAR = "application/vnd.oci.image.layer.v1.tar"


def lay(root: Path, *made: bytes, kind: str = TAR, budget: Budget | None = None) -> None:
    root.mkdir(exist_ok=True)
    for data in made:
        file = root.with_name("layer")
        file.write_bytes(data)
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        layers.apply(file, kind, digest_of(plain), root, budget or Budget())


@pins(
    "artifact_registry",
    "Running an image",
    "No name and no link of a layer leads out of the image: `..` is refused, links mean what they mean inside",
    ours="a layer is other people's",
)
def test_no_name_leads_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    root = tmp_path / "root"
    for name in ("../outside/precious", "a/../../outside/x", "/../outside/x"):
        with pytest.raises(LayerError, match="leads out"):
            lay(root, layer(Entry(name, b"theirs")))
    lay(
        root,
        layer(Entry("up", link="../../outside"), Entry("away", link=str(outside))),
        layer(Entry("up/precious", b"theirs"), Entry("away/precious", b"theirs"), Entry("up/.wh.precious")),
        layer(Entry("stolen", link=f"away/../../..{outside}/precious2")),
    )
    assert (outside / "precious").read_text() == "mine"
    assert sorted(os.listdir(outside)) == ["precious"]
    assert (root / "outside").is_dir()
    with pytest.raises(LayerError, match="no file"):
        lay(root, layer(Entry("hard", link="away/nothing", hard=True)))
    with pytest.raises(LayerError, match="too many symbolic links"):
        lay(root, layer(Entry("loop", link="loop2"), Entry("loop2", link="loop"), Entry("loop/x", b"")))


NAMES = st.sampled_from(["a", "b", "a/b", "b/a", "a/b/c", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "l/x", "l"])
ENTRIES = st.builds(
    lambda name, kind, target: Entry(
        f"{name}/" if kind == "folder" else name,
        b"x" if kind == "file" else b"",
        link=target if kind in ("soft", "hard") else "",
        hard=kind == "hard",
    ),
    NAMES,
    st.sampled_from(["file", "folder", "soft", "hard"]),
    st.sampled_from(["a", "/a/b", "..", "../../outside", "/", "l", "b"]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.lists(ENTRIES, max_size=6), max_size=3))
def test_whatever_layers_hold_the_world_outside_stays(tmp_path: Path, made: list[list[Entry]]) -> None:
    home = tmp_path / "here"
    shutil.rmtree(home, ignore_errors=True)
    (home / "outside").mkdir(parents=True)
    (home / "outside" / "a").write_text("mine")
    with contextlib.suppress(LayerError):
        lay(home / "root", *(layer(*entries) for entries in made))
    assert sorted(os.listdir(home)) in (["layer", "outside", "root"], ["outside"], ["outside", "root"])
    assert [(one, (home / "outside" / one).read_text()) for one in os.listdir(home / "outside")] == [("a", "mine")]


def test_a_layer_is_bounded_and_compared_with_its_digest(tmp_path: Path) -> None:
    data = layer(Entry("big", b"x" * 100_000))
    with pytest.raises(LayerError, match="larger, unpacked"):
        lay(tmp_path / "one", gzip.compress(data), budget=Budget(size=50_000))
    with pytest.raises(LayerError, match="more files"):
        lay(tmp_path / "two", layer(Entry("a"), Entry("b"), Entry("c")), budget=Budget(entries=2))
    (tmp_path / "layer").write_bytes(gzip.compress(data)[:60])
    with pytest.raises(LayerError, match="cannot be unpacked"):
        layers.apply(tmp_path / "layer", TAR, digest_of(data), tmp_path / "one", Budget())
    (tmp_path / "layer").write_bytes(data)
    with pytest.raises(LayerError, match="not what the image's configuration says"):
        layers.apply(tmp_path / "layer", TAR, digest_of(b"else"), tmp_path / "one", Budget())


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd command is not installed")
def test_a_layer_may_be_packed_with_zstd(tmp_path: Path) -> None:
    data = layer(Entry("file", b"packed"))
    packed = subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout
    (tmp_path / "root").mkdir()
    (tmp_path / "layer").write_bytes(packed)
    layers.apply(tmp_path / "layer", f"{TAR}+zstd", digest_of(data), tmp_path / "root", Budget())
    assert (tmp_path / "root" / "file").read_bytes() == b"packed"
