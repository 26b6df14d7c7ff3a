"""One commit is one digest, wherever and whenever it is built."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from ops.images import archives, bytecode, tree
from ops.images.tree import Entry
from tests.dose import WHOLE
from tests.ops.alone import ROOT
from tests.ops.images.reading import config, entries
from tests.ops.images.test_running import build
from tests.ops.images.toy import Toy, git

#: Moves a process's clock: Python runs it at start when it is found on its path.
SHIFTED = "import time\n_now = time.time\ntime.time = lambda: _now() + 400_000_000\n"


def test_two_builds_of_one_commit_have_one_digest(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = toy.build()
    git(tmp_path, "clone", "-q", str(toy.root), "a folder of another name")
    before = os.umask(0o077)
    try:
        monkeypatch.setenv("TZ", "Pacific/Auckland")
        monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
        time.tzset()
        with time_machine.travel(datetime(2031, 5, 6, tzinfo=UTC)):
            again = Toy(tmp_path / "a folder of another name").build()
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert again.image.digest == first.image.digest
    assert again.bill == first.bill
    assert again.attached.digest == first.attached.digest
    assert {one.mtime for one in entries(first).values()} <= {0, first.commit.time}


def test_a_release_changes_no_layer_but_its_own(toy: Toy) -> None:
    first = toy.build()
    toy.commit(service_code__one__app_dot_py="print('two')\n")
    second = toy.build(fresh=False)
    assert [one.diff_id for one in second.layers[:2]] == [one.diff_id for one in first.layers[:2]]
    assert second.layers[2].diff_id != first.layers[2].diff_id
    assert config(second)["config"]["Labels"]["org.opencontainers.image.revision"] == second.commit.name


def test_a_kept_layer_is_what_a_fresh_one_is_and_a_damaged_one_is_made_again(toy: Toy) -> None:
    first = toy.build()
    assert toy.build(fresh=False).image.digest == first.image.digest
    for path in archives.cache("layers").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert toy.build(fresh=False).image.digest == first.image.digest


def test_a_layer_is_a_tar_that_every_tool_reads() -> None:
    long = f"app/{'folder/' * 20}gruß.py"
    made = tree.tar({long: Entry(data=b"x" * 513), "b": Entry(link="a/" * 80), "a": Entry(mode=0o755)}, 1_790_000_000)
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        found = {info.name: info for info in tar}
        opened = tar.extractfile(long)
        assert opened is not None
        assert opened.read() == b"x" * 513
    assert found["b"].linkname == "a/" * 80
    assert (found["a"].mode, found["a"].uid, found["a"].mtime) == (0o755, 0, 1_790_000_000)
    assert found["app"].isdir()
    assert list(found) == sorted(found)


def test_gzip_holds_no_trace_of_the_machine() -> None:
    packed = tree.gzipped(b"content")
    assert gzip.decompress(packed) == b"content"
    assert packed[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


def test_another_compressor_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LEVEL", 5)
    assert not tree.packs_as_zlib()


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE, reason="two fresh builds of everything take a minute: SLUICE_WHOLE=1 makes them")
@pytest.mark.skipif(not bytecode.possible(), reason="the image's programs run on Linux on amd64 alone")
def test_two_builds_of_the_real_image_have_one_digest(tmp_path: Path) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(SHIFTED)
    built, source = [], ROOT
    for number, (umask, zone, language) in enumerate([(0o077, "UTC", "C"), (0o022, "Asia/Tokyo", "de_DE.UTF-8")]):
        root = tmp_path / f"clone {number}"
        git(tmp_path, "clone", "-q", "--shared", str(source), str(root))
        source = root  # the checkout's HEAD may move on meanwhile
        path = f"{root}{os.pathsep}{tmp_path / 'hook'}" if number else str(root)
        place = tmp_path / f"image{number}.tar"
        said = build(root, "--fresh", "--output", str(place), umask=umask, TZ=zone, LC_ALL=language, PYTHONPATH=path)
        built.append((said["layers"], said["digest"], hashlib.sha256(place.read_bytes()).hexdigest()))
    assert built[0] == built[1]
    assert json.loads((tmp_path / "image0.tar.spdx.json").read_bytes())["spdxVersion"] == "SPDX-2.3"
