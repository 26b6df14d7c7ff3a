"""A toy repository with a cache of its own, and files of an image by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.images import toy as toys
from tests.ops.images.toy import Toy


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return toys.make(tmp_path / "repository")
