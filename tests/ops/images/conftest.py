"""A toy repository with a cache of its own, and files of an image by path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ops.images import toy as toys
from tests.ops.images.toy import Toy


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repository and the cache, made once."""
    place = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        toys.make(place / "repository")
    return place


@pytest.fixture
def toy(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    shutil.copytree(pattern, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Toy(tmp_path / "repository")
