"""A release is not begun while tasks of the one before still follow the tag to whatever is tried."""

from __future__ import annotations

from ops.queues.probe import HEADER
from tests.ops.rollouts import SERVICE, World
from tests.ops.test_rollout_verbs import Run, here, kept, sluice

__all__ = ["here", "kept", "sluice"]


def test_it_waits_for_the_tasks_that_the_last_one_has_left_and_says_how_to_move_them(here: World, sluice: Run) -> None:
    place, queue = here.place, f"{here.place.parent}/queues/split-payment-queue"
    place.call("tasks", "POST", f"{place.parent}/queues", {"name": queue})
    place.call("tasks", "POST", f"{queue}:pause", {})

    def put(tag: str | None, **headers: str) -> str:
        request = {"url": f"{place.url(SERVICE, tag)}/split", "headers": headers}
        return str(place.call("tasks", "POST", f"{queue}/tasks", {"task": {"httpRequest": request}})["name"])

    put(None)
    put("canary", **{HEADER: "a-run"})
    left = [put("canary"), put("canary")]
    before = here.writes
    code, said = sluice("rollout", "start", SERVICE, "--yes", "--dwell", "1h")
    assert (code, "2 tasks still wait for the release of gcsplit before this one" in said) == (1, True), said
    assert "2 in split-payment-queue" in said
    assert "./sluice queues move split-payment-queue --to-side stable" in " ".join(said.split())
    assert here.writes == before
    assert sluice("rollout", "start", "payout", "--yes", "--dwell", "1h")[0] == 0, "a route has no tag"
    for task in left:
        place.call("tasks", "DELETE", task)
    assert sluice("rollout", "start", SERVICE, "--yes", "--dwell", "1h")[0] == 0
