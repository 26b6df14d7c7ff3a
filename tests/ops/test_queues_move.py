"""`sluice queues move`: none is lost wherever it is cut short, none made twice, and none goes where it does not fit."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from ops import place
from ops.cloud import Cloud
from ops.errors import CallFailed, OpsError
from ops.queues import move as moving
from ops.queues.calls import Calls
from ops.queues.move import copy_of
from ops.reconcile.found import Found
from ops.reconcile.helps import Helps
from ops.reconcile.payments import look_for_lost_tasks
from ops.reconcile.tasks import told, waiting
from tests.local_cloud.cloud_places import PARENT
from tests.ops.hands import OTHER, PAYING, RETRYING, SPLITS, Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


def test_what_is_addressed_to_a_canary_goes_to_stable_with_all_that_it_is(at_hand: Hands, sluice: Sluice) -> None:
    [one, other] = at_hand.names(2)
    at_hand.put(PAYING, one, tag="canary", after=3600, headers={"X-Sluice-Due": "7", "traceparent": "00-1"})
    at_hand.put(PAYING, other)
    old = at_hand.waiting(PAYING)[one]
    code, told = sluice("queues", "move", PAYING, "--to-side", "stable")
    assert (code, told["moved"]) == (0, 1)
    now = at_hand.waiting(PAYING)
    assert set(now) == {f"{one}-moved", other}
    new = now[f"{one}-moved"]
    assert new["httpRequest"]["url"] == at_hand.url("gchostpay3", "/")
    for what in ("body", "headers", "httpMethod"):
        assert new["httpRequest"][what] == old["httpRequest"][what]
    assert (new["scheduleTime"], new["dispatchDeadline"]) == (old["scheduleTime"], "45s")
    assert sluice("queues", "move", PAYING, "--to-side", "stable")[1]["moved"] == 0
    [entry] = at_hand.audits("queues move")[:1]
    assert (entry["subject"], entry["to"], entry["moved"], entry["stack"]) == (PAYING, "stable", 1, "local")
    assert "secret" not in str(entry)


def test_a_queue_that_is_taken_away_is_moved_into_another_of_its_edge(at_hand: Hands, sluice: Sluice) -> None:
    at_hand.put(RETRYING, *(ids := at_hand.names(12)))
    code, told = sluice("queues", "move", RETRYING, PAYING, "--dry-run")
    assert (code, told["would_move"], len(at_hand.waiting(RETRYING))) == (0, ids, 12)
    assert sluice("queues", "move", RETRYING, PAYING)[1]["moved"] == 12
    assert at_hand.waiting(RETRYING) == {}
    at_hand.steer(PAYING, "resume")
    at_hand.idle()
    assert at_hand.delivered() == dict.fromkeys(ids, 1)


def test_a_copy_shows_the_account_of_the_queue_that_it_goes_to() -> None:
    name = "projects/p/locations/l/queues/old/tasks/t"
    token = {"serviceAccountEmail": "old-invoker@p", "audience": "https://canary---a-1.r.run.app"}
    task = {"name": name, "httpRequest": {"url": "https://canary---a-1.r.run.app/x", "oidcToken": token}}
    made = copy_of(task, "projects/p/locations/l/queues/new", "new-invoker@p")["httpRequest"]
    assert made["oidcToken"] == {"serviceAccountEmail": "new-invoker@p", "audience": "https://a-1.r.run.app"}
    assert made["url"] == "https://canary---a-1.r.run.app/x", "its side was chosen when it was made"
    there = copy_of(task, "projects/p/locations/l/queues/old")["httpRequest"]
    assert there["url"] == "https://a-1.r.run.app/x"
    assert there["oidcToken"]["serviceAccountEmail"] == "old-invoker@p"


@pytest.mark.parametrize("point", ["create", "delete"])
@pytest.mark.parametrize("done", [0, 1, 7])
def test_a_move_that_is_cut_short_loses_none_and_is_given_again(
    at_hand: Hands, sluice: Sluice, monkeypatch: pytest.MonkeyPatch, point: str, done: int
) -> None:
    """Killed before the nth create or delete: whatever was begun stays as it is."""
    at_hand.put(RETRYING, *(ids := at_hand.names(12)))
    real, calls, turn = getattr(Calls, point), [0], threading.Lock()

    def dying(self: Calls, *words: Any) -> Any:
        with turn:
            calls[0] += 1
            dead = calls[0] > done
        if dead:
            raise OpsError("killed")
        return real(self, *words)

    monkeypatch.setattr(Calls, point, dying)
    assert sluice("queues", "move", RETRYING, PAYING)[0] == 1
    here, there = at_hand.waiting(RETRYING), at_hand.waiting(PAYING)
    assert {*here, *(name.removesuffix("-moved") for name in there)} == set(ids), "each is in one of them at least"
    monkeypatch.setattr(Calls, point, real)
    code, told = sluice("queues", "move", RETRYING, PAYING)
    assert (code, told["moved"] + told["moved_before"]) == (0, len(here))
    at_hand.steer(PAYING, "resume")
    at_hand.steer(RETRYING, "resume")
    at_hand.idle()
    assert at_hand.delivered() == dict.fromkeys(ids, 1)


def test_under_load_each_task_arrives_though_both_queues_run_and_two_move_them(at_hand: Hands, sluice: Sluice) -> None:
    """A task that is dispatched in the middle of its move may come twice; none is lost, and nothing is left behind."""
    first, more = at_hand.names(30), at_hand.names(30)
    at_hand.put(PAYING, *first, tag="canary")
    at_hand.steer(PAYING, "resume")
    told: list[int] = []

    def move() -> None:
        calls = Calls(place.of("local"))
        found = moving.to_stable(calls, PAYING)
        counts: Counter[str] = Counter()
        found.carry(calls, rate=10_000, counts=counts)
        told.append(sum(counts.values()))

    movers = [threading.Thread(target=move) for _ in range(2)]
    for mover in movers:
        mover.start()
    at_hand.put(PAYING, *more, tag="canary")
    for mover in movers:
        mover.join()
    assert len(told) == 2
    assert sluice("queues", "move", PAYING, "--to-side", "stable")[0] == 0
    at_hand.idle()
    assert at_hand.waiting(PAYING) == {}
    came = at_hand.delivered()
    assert set(came) == {*first, *more}
    # The receiver knows a repeat by its body and name: at most the old one and its copy.
    assert max(came.values()) <= 2


def test_a_task_whose_attempt_runs_stays(at_hand: Hands, sluice: Sluice) -> None:
    [busy] = at_hand.names(1)
    at_hand.put(PAYING, busy, tag="canary")
    at_hand.hold()
    at_hand.steer(PAYING, "resume")
    at_hand.place.do(lambda _cloud: at_hand.receiver.arrived(1))
    told = sluice("queues", "move", PAYING, "--to-side", "stable")[1]
    at_hand.let_go()
    assert (told["moved"], told["left"]["running"]) == (0, 1)
    at_hand.idle()
    assert at_hand.delivered() == {busy: 1}


def test_what_the_other_queue_does_not_carry_is_refused_before_anything_moves(at_hand: Hands, sluice: Sluice) -> None:
    [fits, stray, alien] = at_hand.names(3)
    at_hand.put(RETRYING, fits)
    code, told = sluice("queues", "move", RETRYING, SPLITS)
    assert (code, "the receiver of gchostpay3-retry-queue is gchostpay3" in told["error"]["what"]) == (2, True)
    at_hand.put(RETRYING, stray, to="gcsplit", path="/process_split")
    code, told = sluice("queues", "move", RETRYING, PAYING)
    assert (code, "one goes to gcsplit/process_split" in told["error"]["what"]) == (1, True)
    at_hand.steer(RETRYING, "purge")
    at_hand.put(RETRYING, alien, message={"message": "PayoutMined", "token": "t"})
    assert "one is a PayoutMined" in sluice("queues", "move", RETRYING, PAYING)[1]["error"]["what"]
    assert set(at_hand.waiting(RETRYING)) == {alien}
    assert at_hand.waiting(PAYING) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((PAYING,), "say where to"),
        ((PAYING, RETRYING, "--to-side", "stable"), "say where to"),
        ((PAYING, "--to-side", "canary"), "--to-side is canary"),
        ((PAYING, PAYING), "is where they are"),
        ((PAYING, "nowhere-queue"), "there is no queue 'nowhere-queue'"),
        (("gchostpay3-retry-queu", PAYING), "there is no queue"),
        ((PAYING, RETRYING, "--rate", "fast"), "--rate is fast"),
    ],
)
def test_a_move_that_is_not_clear_is_bad_usage(
    at_hand: Hands, sluice: Sluice, words: tuple[str, ...], said: str
) -> None:
    code, told = sluice("queues", "move", *words)
    assert (code, said in told["error"]["what"]) == (2, True), told
    assert at_hand.waiting(OTHER) == {}


def test_a_task_that_was_moved_is_no_lost_one(at_hand: Hands, sluice: Sluice) -> None:
    [moved, lost] = at_hand.names(2)
    at_hand.put(PAYING, moved, tag="canary", after=3600)

    def missed() -> list[str]:
        found = Found(now="2026-01-01T00:00:00Z")
        look_for_lost_tasks(_Stuck(at_hand, [moved, lost]), found)
        return [one.about for one in found.findings]

    assert sluice("queues", "move", PAYING, "--to-side", "stable")[1]["moved"] == 1
    assert missed() == [lost]
    for source, target in ((PAYING, RETRYING), (RETRYING, PAYING)):
        assert sluice("queues", "move", source, target)[1]["moved"] == 1
        assert missed() == [lost], f"it waits in {target}"


@pytest.mark.parametrize("queue", [PAYING, "a-queue-that-went"])
def test_what_waits_elsewhere_is_told_of_with_its_queue_and_name(queue: str) -> None:
    class Moved:
        location = PARENT

        def tasks(self, path: str) -> Any:
            if path.endswith(f"/queues/{RETRYING}/tasks/t-moved"):
                return {"scheduleTime": "2026-01-01T00:00:00Z"}
            raise CallFailed(path, status=404)

    found = waiting(Moved(), {"queue": queue, "task": "t"})
    assert found is not None
    assert (found.queue, found.task) == (RETRYING, "t-moved")
    assert f"its task, moved from {queue}, waits in {RETRYING}: " in told(Moved(), {"queue": queue, "task": "t"})


class _Stuck:
    """A stack in which payments wait for these tasks."""

    location = PARENT
    helps: Helps = Helps()

    def __init__(self, hands: Hands, tasks: list[str]) -> None:
        self._hands, self._tasks = hands, tasks

    def call(self, _service: str, path: str) -> Any:
        last = {"queue": PAYING, "sent_at": "2026-01-01T00:00:00Z", "direct": False}
        rows = [
            {
                "unique_id": one,
                "flow": "staged",
                "stage": "staged",
                "since": None,
                "code": "",
                "last": {**last, "task": one},
            }
            for one in self._tasks
        ]
        return {"payments": rows if "stage=staged" in path else []}

    def tasks(self, path: str) -> Any:
        return Cloud(self._hands.place.rest).google("GET", path)

    def funded(self, address: str) -> dict[str, int]:
        return {}
