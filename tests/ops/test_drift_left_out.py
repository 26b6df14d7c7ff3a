"""What `sluice drift` does not look at on purpose is said once, and is no difference."""

from __future__ import annotations

from local_engine.model import Goal
from local_engine.resources import registry
from ops.drift.by_hand import left_out


def goal(token: str, name: str) -> Goal:
    return Goal(urn=f"urn:{name}", type=token, name=name, custom=True, parent="", inputs={})


def test_types_that_are_previewed_and_never_read_are_told_in_one_line() -> None:
    previewed = [token for token, kind in registry().items() if kind.previewed_only]
    [line] = left_out([goal(token, "edge") for token in previewed])
    assert line.startswith(f"{len(previewed)} resources of types")
    assert left_out([]) == []
