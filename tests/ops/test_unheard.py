"""`| head -1`: what a verb has begun it finishes where nobody reads on, and its status says how that ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from ops import app, place
from ops.errors import CallFailed
from ops.output import Output
from ops.queues import pace
from tests.ops.test_operator_verbs import DEATH, ONE, Stack


@contextmanager
def unread() -> Iterator[None]:
    """Standard output that nobody reads; pytest takes its own back between a fixture and its test."""
    there, here = os.pipe()
    os.close(there)
    before = sys.stdout
    with suppress(BrokenPipeError), open(here, "w") as broken:
        sys.stdout = broken
        try:
            yield
        finally:
            sys.stdout = before


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("ends", [0, 1])
def test_a_replay_is_finished_and_says_by_its_status_how(
    monkeypatch: pytest.MonkeyPatch, more: list[str], ends: int
) -> None:
    doors = Stack()
    ids = ["pay1", "pay2", "pay3"]
    doors.by_path = {f"/dead/{id_}": {**ONE, "deaths": [{**DEATH, "unique_id": id_}]} for id_ in ids}
    doors.by_path |= {f"/dead/{id_}/replay": {"unique_id": id_, "status": "replayed"} for id_ in ids}
    if ends:
        doors.by_path["/dead/pay3/replay"] = CallFailed("answered 409", status=409, body="{}")
    monkeypatch.setattr(place, "of", lambda _stack: doors)
    monkeypatch.setattr(pace, "pause", lambda _seconds: None)
    with unread():
        assert app.main(["dead", "replay", *ids, "--yes", *more]) == ends
    assert [path for method, _, path in doors.calls if method == "POST"] == [f"/dead/{id_}/replay" for id_ in ids]


def test_what_would_go_on_for_ever_ends() -> None:
    with unread():
        out = Output(as_json=False, endless=True)
        with pytest.raises(SystemExit):
            out.plain("an entry")
