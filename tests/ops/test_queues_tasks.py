"""`sluice queues tasks|run|describe`: what waits is told without its body, and run whatever holds it back, once."""

from __future__ import annotations

import json
import re

import pytest

from ops import app
from ops.queues import pace
from ops.queues.tasks import path_of, service_of, side_of, untagged
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import call
from tests.ops.hands import PAYING, RETRYING, SPLITS, Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


def test_tasks_are_told_with_answers_sides_and_payments_and_never_with_their_bodies(
    at_hand: Hands, sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    at_hand.receiver.answers = [503]
    [failed, fresh, later] = at_hand.names(3)
    at_hand.put(PAYING, failed, tag="canary")
    assert sluice("queues", "run", PAYING, failed)[1] == {"queue": PAYING, "run": 1, "gone": 0}
    at_hand.idle()
    at_hand.put(PAYING, fresh, message={"message": "ConfirmPayout", "unique_id": "PAY-2", "version": 1})
    at_hand.put(PAYING, later, after=7200)
    _log(at_hand, failed, "PAY-1")
    code, told = sluice("queues", "tasks", PAYING, yes=False)
    by_id = {one["task"]: one for one in told["tasks"]}
    assert (code, set(by_id), told["more"]) == (0, {failed, fresh, later}, False)
    assert told["tasks"][-1]["task"] == later, "those due first stand at the top"
    one = by_id[failed]
    assert (one["last_code"], one["attempts"], one["side"], one["payment"]) == ("503", 1, "canary", "PAY-1")
    assert one["last_answer"] == "UNAVAILABLE(14): HTTP status code 503"
    assert one["url"] == at_hand.url("gchostpay3", "/", "canary")
    assert (by_id[fresh]["last_code"], by_id[fresh]["payment"], by_id[fresh]["side"]) == (None, None, "stable")
    told = sluice("queues", "tasks", PAYING, "--payments", yes=False)[1]
    assert {one["task"]: one["payment"] for one in told["tasks"]} == {failed: "PAY-1", fresh: "PAY-2", later: None}
    assert app.main(["queues", "tasks", PAYING]) == 0
    shown = capsys.readouterr().out
    assert failed in shown
    assert "secret" not in shown + json.dumps(told)


def _log(hands: Hands, task: str, payment: str) -> None:
    entry = {
        "logName": f"projects/{PROJECT}/logs/x",
        "resource": {"type": "global"},
        "jsonPayload": {"task": task, "unique_id": payment},
    }
    call(hands.place, "POST", "/v2/entries:write", {"entries": [entry]})


def test_tasks_are_chosen_by_answer_age_and_side(at_hand: Hands, sluice: Sluice) -> None:
    [old, canary] = at_hand.names(2)
    at_hand.receiver.answers = [429]
    at_hand.put(PAYING, old)
    sluice("queues", "run", PAYING, old)
    at_hand.idle()
    at_hand.advance(900)
    at_hand.put(PAYING, canary, tag="canary")

    def found(*words: str) -> list[str]:
        return [one["task"] for one in sluice("queues", "tasks", PAYING, *words, yes=False)[1]["tasks"]]

    assert found("--older-than", "10m") == [old]
    assert found("--to", "canary") == [canary]
    assert found("--to", "stable") == found("--code", "429") == found("--code", "resource_exhausted") == [old]
    assert found("--code", "-") == [canary]
    assert found("--code", "503") == []
    assert sluice("queues", "tasks", PAYING, "--limit", "1", yes=False)[1]["more"] is True
    code, told = sluice("queues", "tasks", PAYING, "--to", "canery", yes=False)
    assert (code, told["error"]["fix"]) == (2, "did you mean canary?")


def test_run_heeds_no_pause_and_leaves_alone_what_is_over(at_hand: Hands, sluice: Sluice) -> None:
    ids = at_hand.names(3)
    at_hand.put(PAYING, *ids, after=3600)
    assert sluice("queues", "run", PAYING, "--all", "--dry-run", yes=False)[1] == {"would_run": sorted(ids)}
    assert sluice("queues", "run", PAYING, *ids, ids[0], "--rate", "9/s")[1]["run"] == 3
    at_hand.idle()
    assert at_hand.delivered() == dict.fromkeys(ids, 1)
    assert at_hand.state(PAYING) == "PAUSED"
    assert sluice("queues", "run", PAYING, *ids)[1] == {"queue": PAYING, "run": 0, "gone": 3}
    assert sluice("queues", "run", PAYING, "--all")[1]["run"] == 0
    at_hand.idle()
    assert at_hand.delivered() == dict.fromkeys(ids, 1)
    done = at_hand.audits("queues run")[0]
    assert (done["subject"], done["meant"], done["run"], done["gone"]) == (PAYING, 3, 0, 3)


def test_what_is_no_task_or_no_answer_is_refused_and_what_is_not_there_is_no_success(
    at_hand: Hands, sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    [one] = at_hand.names(1)
    at_hand.put(PAYING, one, after=3600)
    for wrong in ("a/../b", "a b", f"{at_hand.path(SPLITS)}/tasks/{one}"):
        code, told = sluice("queues", "run", PAYING, wrong)
        assert (code, "can be no task of" in told["error"]["what"]) == (2, True), wrong
    assert sluice("queues", "run", PAYING, "nonsense") == (1, {"queue": PAYING, "run": 0, "gone": 1})
    assert app.main(["queues", "run", PAYING, "nonsense", "--yes"]) == 1
    assert "1 not there: done, deleted, or mistyped" in capsys.readouterr().out
    assert sluice("queues", "run", PAYING, "nonsense", f"{at_hand.path(PAYING)}/tasks/{one}")[0] == 0
    for wrong in ("bananas", "99", "600", "5xx"):
        code, told = sluice("queues", "tasks", PAYING, "--code", wrong, yes=False)
        assert (code, "no answer of an attempt" in told["error"]["what"]) == (2, True), wrong


def test_a_dry_run_of_many_shows_some_ids_and_the_count(
    at_hand: Hands, sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = at_hand.names(23)
    at_hand.put(PAYING, *ids, after=3600)
    assert app.main(["queues", "run", PAYING, "--all", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would dispatch 23 tasks" in shown
    assert (sum(one in shown for one in ids), "and 3 more (--json shows all)" in shown) == (20, True)
    assert len(sluice("queues", "run", PAYING, "--all", "--dry-run", yes=False)[1]["would_run"]) == 23


def test_run_begins_no_more_a_second_than_its_rate(
    at_hand: Hands, sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(pace, "pause", waited.append)
    at_hand.put(PAYING, *at_hand.names(5), after=3600)
    assert sluice("queues", "run", PAYING, "--all", "--rate", "30/m")[1]["run"] == 5
    assert waited == [2.0] * 4


def test_which_tasks_run_must_be_said_once_and_somebody_must_want_it(at_hand: Hands, sluice: Sluice) -> None:
    [one] = at_hand.names(1)
    at_hand.put(PAYING, one, after=3600)
    assert sluice("queues", "run", PAYING)[0] == 2
    assert sluice("queues", "run", PAYING, one, "--all")[0] == 2
    assert sluice("queues", "run", PAYING, one, "--code", "503")[0] == 2
    code, told = sluice("queues", "run", PAYING, one, yes=False)
    assert (code, told["error"]["fix"]) == (1, "add --yes")
    assert "The queue is paused: they are dispatched all the same." in told["error"]["why"]
    at_hand.idle()
    assert at_hand.delivered() == {}


def test_a_queue_is_described_beside_its_spec(
    at_hand: Hands, sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    [first, second] = at_hand.names(2)
    at_hand.put(RETRYING, first, tag="canary")
    at_hand.advance(60)
    at_hand.put(RETRYING, second, after=3600)
    at_hand.receiver.answers = [500]
    sluice("queues", "run", RETRYING, first)
    at_hand.idle()
    code, told = sluice("queues", "describe", RETRYING, yes=False)
    assert (code, told["state"], told["waiting"], told["more"]) == (0, "PAUSED", 2, False)
    assert told["oldest"]["task"] == first
    assert told["oldest"]["age_seconds"] >= 59
    assert (told["last_codes"], told["sides"]) == ({"500": 1}, {"canary": 1, "stable": 1})
    assert told["last_attempts"]["INTERNAL"] >= 1
    assert told["last_attempts_between"][0] <= told["last_attempts_between"][1] <= at_hand.now().isoformat()
    assert (told["from"], told["to"], told["message"]) == (["gchostpay3"], "gchostpay3/", "ExecutePayout")
    # Made with Google's defaults, and not as the specs say.
    assert told["config"]["dispatches a second"] == {"there": 500.0, "declared": 5}
    assert "attempts" in told["differs"]
    assert told["attempts"][1]["at"] == 60
    assert app.main(["queues", "describe", RETRYING]) == 0
    shown = capsys.readouterr().out
    assert "an apply puts back what differs" in shown
    assert "Given up 24h after the first attempt" in shown
    assert "1 task 500" in shown
    assert re.search(r"the last \d+ attempts?, \S+T\S+ to \S+T\S+  .*\d+ answered INTERNAL", shown)
    assert re.search(r"age limit +none +24h  differs", shown)
    assert re.search(r"longest wait +\S+ +60s  differs", shown)


def test_pauses_and_resumes_are_written_down(at_hand: Hands, sluice: Sluice) -> None:
    before = len(at_hand.audits("queues pause"))
    assert sluice("queues", "resume", SPLITS)[1]["resumed"] == [SPLITS]
    assert sluice("queues", "pause", SPLITS)[1]["paused"] == [SPLITS]
    assert sluice("queues", "pause", SPLITS)[1]["already"] == [SPLITS]
    paused, entry = at_hand.audits("queues pause"), at_hand.audits("queues resume")[0]
    assert (len(paused), paused[0]["queues"]) == (before + 1, [SPLITS])
    assert (entry["queues"], entry["probed"], entry["stack"]) == ([SPLITS], False, "local")
    assert "@" in entry["who"]


@pytest.mark.parametrize(
    ("url", "side", "service", "path", "base"),
    [
        (
            *("https://canary---gcsplit2-12.us-central1.run.app/a/b?c=d", "canary", "gcsplit2", "/a/b"),
            "https://gcsplit2-12.us-central1.run.app/a/b?c=d",
        ),
        (
            *("https://gcsplit-12.us-central1.run.app", "stable", "gcsplit", "/"),
            "https://gcsplit-12.us-central1.run.app",
        ),
        (
            *("http://127.0.0.1:8580/run/previous---gcsplit-12.us-central1/x", "previous", "gcsplit", "/x"),
            "http://127.0.0.1:8580/run/gcsplit-12.us-central1/x",
        ),
        (*("https://stable---a-1.r.run.app/", "stable", "a", "/"), "https://a-1.r.run.app/"),
        (*("http://127.0.0.1:9/hook", "other", "", "/hook"), "http://127.0.0.1:9/hook"),
    ],
)
def test_the_side_of_a_release_is_the_tag_in_the_url(url: str, side: str, service: str, path: str, base: str) -> None:
    assert (side_of(url), service_of(url), untagged(url)) == (side, service, base)
    assert service == "" or path_of(url) == path
