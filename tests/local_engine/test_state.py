"""The state on disk where the disk fails: what is said to be done is there, and what is there can be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from local_engine.model import Record
from local_engine.state import opened


def record(name: str) -> Record:
    return Record(urn=f"urn:{name}", type="t", name=name, custom=True)


def found(folder: Path) -> list[str]:
    with opened(folder, "s") as state:
        return sorted(one.name for one in state.records.values())


def test_after_a_line_that_was_not_made_durable_none_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, "s") as state:
        state.put(record("a"))
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", failing)
            with pytest.raises(OSError, match="Input/output"):
                state.put(record("b"))
        # The system tells of a failure once: its next answer would be that all is well.
        with pytest.raises(OSError, match="Input/output"):
            state.put(record("c"))
    assert "c" not in found(tmp_path)
    assert "a" in found(tmp_path)


def test_what_a_full_disk_cuts_short_is_no_step_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(journal: int, data: bytes) -> int:
        return write(journal, data[: len(data) // 2])

    write = os.write
    with opened(tmp_path, "s") as state:
        state.put(record("a"))
        with monkeypatch.context() as full:
            full.setattr(os, "write", cut)
            with pytest.raises(OSError, match="No space") as refused:
                state.put(record("b"))
        assert refused.value.filename == str(tmp_path / "s" / "journal.jsonl")
        assert "urn:b" not in state.records
        state.put(record("c"))
    assert found(tmp_path) == ["a", "c"]


def test_a_checkpoint_is_sound_where_a_journal_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, "s") as state:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", failing)
            with pytest.raises(OSError, match="Input/output"):
                state.put(record("a"))
        state.compact()
        state.put(record("b"))
    assert found(tmp_path) == ["a", "b"]


def failing(_journal: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
