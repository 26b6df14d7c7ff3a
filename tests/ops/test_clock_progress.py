"""`sluice clock advance` says how far a long move is."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest

from ops import app, clouds
from ops.verbs import clock

NOW = "2026-11-24T00:00:00Z"


class SlowCloud:
    """Stands for a cloud whose move ends once the second word of it was asked for; it is half way then."""

    def __init__(self) -> None:
        self.asked = 0
        self.seen = Event()

    def status(self) -> dict[str, Any]:
        return {"project": "p", "queues": {}}

    def admin(self, method: str, _path: str, _body: Any = None, *, timeout: float = 0) -> Any:
        if method == "POST":
            assert self.seen.wait(60)
            return {"now": NOW, "offset": 100.0 + 3600, "fired": 0, "unsettled": {}, "wait": timeout}
        self.asked += 1
        if self.asked > 2:
            self.seen.set()
        return {"now": NOW, "offset": 100.0 if self.asked == 1 else 1900.0}


def test_a_long_move_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(clock, "TELL_EVERY", 0.001)
    monkeypatch.setattr(clouds, "find", lambda _url: SlowCloud())
    assert app.main(["clock", "advance", "1h"]) == 0
    told, done, *_ = capsys.readouterr().out.splitlines()
    assert told == " 50% of 1h: 2026-11-24T00:00:00"
    assert done == f"\u2713 the clock of p stands at {NOW}"
