"""`sluice resend`: what it asks before it sends, what it refuses to understand, and the stack that its words are for.

What the doors do, and what becomes of payments, is tests/service_code/test_resend.py's.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ops import app, place, specs
from ops.errors import CallFailed
from ops.queues import pace

LAST = {
    "service": "gchostpay1", "queue": "gchostpay-payment-execute-queue", "task": "t1", "direct": False, "error": None,
    "withheld": False, "sent_at": "2026-11-23T08:00:00Z", "cancelled_at": None, "due_at": None,
}  # fmt: skip
ROW = {"unique_id": "pay1", "flow": "staged", "stage": "staged", "since": "2026-11-23T08:00:00Z", "code": None}


class Stack:
    """Stands for a stack: payments, and tasks that are gone but for those in `waits`."""

    parent, who, project = "projects/p/locations/l", "ann@laptop", "p"

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = [ROW | {"last": LAST} | row for row in rows]
        self.waits: set[str] = set()
        self.paused: set[str] = set()
        #: What the first page of a listing tells beside the payments, and what is read of one payment later.
        self.head: dict[str, Any] = {}
        self.later: list[dict[str, Any]] | None = None
        self.sent: list[tuple[str, str, Any]] = []
        self.answer: Any = {"status": "resent", "queue": LAST["queue"], "task": "t2"}
        self.stack = "local"

    @property
    def local(self) -> bool:
        return self.stack == "local"

    @property
    def doors(self) -> Any:
        return SimpleNamespace(call=self._door)

    @property
    def config(self) -> Any:
        return specs.config_of(self.stack)

    def call(self, api: str, method: str, path: str) -> Any:
        assert (api, method) == ("tasks", "GET")
        what, name = path.split("/")[-2:]
        if what == "queues":
            return {"state": "PAUSED" if name in self.paused else "RUNNING"}
        if name not in self.waits:
            raise CallFailed(path, status=404)
        return {"scheduleTime": "2026-11-23T09:00:00Z", "dispatchCount": 3}

    def _door(self, method: str, service: str, path: str, body: Any = None) -> Any:
        if method == "GET":
            rows = self.later if self.later is not None and "unique_id=" in path else self.rows
            head = {} if "unique_id=" in path else self.head
            return {"payments": rows, "next": None, "now": "2026-11-23T09:00:00Z", **head}
        self.sent.append((service, path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack({}, {"unique_id": "pay2", "stage": "dead"}, {"unique_id": "pay3", "since": "2026-11-23T07:00:00Z"})

    def of(name: str) -> Stack:
        made.stack = name
        return made

    monkeypatch.setattr(place, "of", of)
    monkeypatch.setattr(pace, "pause", lambda _seconds: None)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers
    return made


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["pay1", "--all"],
        ["pay1", "--stage", "staged"],
        ["pay1", "--limit", "1"],
        ["--stage", "staged"],
        ["--all", "--stage", "stagedd"],
        ["--all", "--older-than", "soon"],
        ["--all", "--rate", "0/s"],
        ["--all", "--limit", "-1"],
        ["pay\n1"],
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(stack: Stack, words: list[str]) -> None:
    assert app.main(["resend", *words, "--yes"]) == 2
    assert stack.sent == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pay1", "--all"], "ids and --all were given"),
        (["--stage", "split"], "--all is missing"),
        (["--all", "--limit", "-1"], "error: --limit is -1"),
    ],
)
def test_what_does_not_fit_is_named(
    stack: Stack, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert app.main(["resend", *words, "--yes"]) == 2
    assert said in capsys.readouterr().err


def test_it_is_asked_first_and_production_by_its_name(stack: Stack) -> None:
    for words in ([], ["--json"], ["--stack", "prod", "--yes"], ["--stack", "prod", "--yes", "--confirm", "dev"]):
        assert app.main(["resend", "pay1", *words]) in (1, 2)
    assert stack.sent == []
    assert app.main(["resend", "pay1", "--stack", "prod", "--yes", "--confirm", "prod", "--why", "bad release"]) == 0
    body = {"task": "t1", "by": "ann@laptop", "why": "bad release"}
    assert stack.sent == [("gchostpay1", "/payments/pay1/resend", body)]


def test_all_are_those_that_a_message_moves_the_oldest_first_up_to_a_limit(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["resend", "--all", "--limit", "1", "--yes"]) == 0
    assert [path for _, path, _ in stack.sent] == ["/payments/pay3/resend"]
    capsys.readouterr()
    assert app.main(["resend", "--all", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["would_resend"] == ["pay3", "pay1"]
    assert len(stack.sent) == 1


def test_what_it_says_helps_in_the_stack_that_it_is_said_of(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.waits = {"t1"}
    there = ["--stack", "prod", "--yes", "--confirm", "prod"]
    assert app.main(["resend", "pay1", "pay2", *there]) == 1
    shown = capsys.readouterr().out
    assert "./sluice queues run gchostpay-payment-execute-queue t1 --stack prod" in shown
    assert "it is dead: ./sluice dead replay pay2 --stack prod" in shown
    assert stack.sent == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"error": "Not Found"}, "gchostpay1 has no such door (404): its release is older than this command"),
        (403, {"error": {"message": "no"}}, "it has no roles/run.invoker there, which `pulumi up` with this release"),
        (409, {"error": "DEAD", "reason": "it is dead"}, "it is dead: ./sluice dead replay pay1"),
        (409, {"error": "WENT_ON", "reason": "a later message of this payment was sent"}, "a later message"),
    ],
)
def test_what_a_door_refuses_is_told(
    stack: Stack, capsys: pytest.CaptureFixture[str], status: int, body: dict[str, Any], said: str
) -> None:
    stack.answer = CallFailed("refused", status=status, body=json.dumps(body))
    assert app.main(["resend", "pay1", "--yes"]) == (0 if body["error"] == "WENT_ON" else 1)
    assert said in capsys.readouterr().out


def test_of_how_many_it_is_too_early_to_tell_is_said_and_what_takes_them_now(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.rows = []
    stack.head = {"in_flight": {"mined": 89, "single": 11}, "windows": {"mined": 3600.0, "single": 300.0}}
    assert app.main(["resend", "--all", "--stack", "prod", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert "11 in single (counts when it stands for 5m)" in shown
    assert "mined" not in shown
    assert "./sluice resend --all --older-than 1s --stack prod takes them, too" in shown
    assert app.main(["resend", "--all", "--older-than", "1s", "--json", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["too_young"] == {"single": 11}
    del stack.head["windows"]  # a release before this one
    assert app.main(["resend", "--all", "--older-than", "2m", "--yes"]) == 0
    assert "11 in single (counts when it stands for 2m)" in capsys.readouterr().out
    stack.head = {"in_flight": {"single": 11}}
    assert app.main(["resend", "--all", "--stage", "staged", "--yes"]) == 0
    assert "young" not in capsys.readouterr().out


def test_what_waits_is_told_by_its_queue_with_the_one_command_that_helps(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = LAST["queue"]
    stack.rows = [row for row in stack.rows if row["stage"] != "dead"]
    stack.waits = {"t1"}
    assert app.main(["resend", "--all", "--yes"]) == 0
    shown = capsys.readouterr().out
    line = (
        f"- 2 payments wait in {queue}; the oldest stands since 2026-11-23T07:00:00: ./sluice queues run {queue} --all"
    )
    assert shown.splitlines() == [line, "2 waiting"]
    stack.paused = {str(queue)}
    assert app.main(["resend", "--all", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"which is PAUSED; the oldest stands since 2026-11-23T07:00:00: ./sluice queues resume {queue}" in shown
    assert app.main(["resend", "pay1", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert f"its task waits in {queue}, which is PAUSED: ./sluice queues resume {queue}" in shown
    stack.waits = set()
    assert app.main(["resend", "pay1", "--yes"]) == 0
    assert f"{queue} is PAUSED, and what was sent waits there" in capsys.readouterr().out


def test_what_somebody_else_has_sent_meanwhile_is_already_sent(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.rows = stack.rows[:1]
    stack.later = [{**stack.rows[0], "last": LAST | {"task": "t2"}}]
    assert app.main(["resend", "--all", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert "pay1  staged  already sent  sent once more meanwhile, by somebody else or by itself" in shown
    assert shown.splitlines()[-1] == "1 already sent"
    stack.later = [{**stack.rows[0], "last": LAST | {"task": "t3", "queue": "gchostpay3-retry-queue"}}]
    assert app.main(["resend", "--all", "--yes"]) == 0
    assert "went on  it went on meanwhile, to gchostpay3-retry-queue" in capsys.readouterr().out
    assert stack.sent == []


def test_a_dead_one_that_somebody_looks_into_is_marked_before_it_is_replayed(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.rows = [ROW | {"last": LAST, "stage": "dead", "death": "investigating", "note": "ask Ann"}]
    assert app.main(["resend", "pay1", "--yes"]) == 1
    said = "somebody looks into it (ask Ann): ./sluice dead mark pay1 dead, and then ./sluice dead replay pay1"
    assert said in capsys.readouterr().out
