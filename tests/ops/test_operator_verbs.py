"""`sluice wallet` and `sluice dead`: what they call, what they print, and what they ask before they do it.

What the doors do is tests/service_code/test_dead.py's.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ops import app, place
from ops.errors import CallFailed, OpsError
from ops.queues import pace

ETHER = 10**18
WALLET = {
    "address": "0xabc",
    "chain_id": 31337,
    "balance": str(3 * ETHER // 2),
    "chain_nonce": 4,
    "next_nonce": 6,
    "open_nonces": [4, 5],
    "spent_today": str(ETHER),
    "held": "0",
    "stopped": "nonce 4 was used by somebody else",
}
LETTER = {
    "id": 1,
    "service": "gchostpay",
    "endpoint": "/hostpay_webhook",
    "unique_id": None,
    "code": "BAD_MESSAGE",
    "why": "a [bold] field",
    "task_name": None,
    "attempt_number": 1,
    "created_at": "2026-11-22T20:00:00+00:00",
    "archived_at": None,
    "status": "open",
    "flow": "single",
}
DEATH = {
    "unique_id": "pay1",
    "failed_at": "2026-11-22T20:00:00+00:00",
    "closed_at": None,
    "error_code": "WINDOW_PASSED",
    "error_message": "why",
    "flow": "single",
    "attempt_count": 0,
    "status": "dead",
    "retryable": True,
    "amount": "5",
    "currency": "eth",
    "note": None,
}
ONE = {"deaths": [DEATH], "replay": {"may": True, "code": None, "why": None, "would": "makes generation 2"}}


class Stack:
    """Stands for a stack and its doors: records calls, answers what it was given."""

    project, who = "p", "ann@laptop"

    def __init__(self) -> None:
        self.stack = "local"
        self.calls: list[tuple[str, ...]] = []
        self.bodies: list[Any] = []
        self.answer: Any = {}
        self.by_path: dict[str, Any] = {}

    @property
    def doors(self) -> Stack:
        return self

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC)

    def call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        if method == "pubsub":
            return {}
        self.calls.append((method, service, path))
        self.bodies.append(body)
        answer = self.by_path.get(path, self.answer)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()

    def of(stack: str) -> Stack:
        made.stack = stack
        return made

    monkeypatch.setattr(place, "of", of)
    monkeypatch.setattr(pace, "pause", lambda _seconds: None)
    return made


def test_the_wallet_is_shown_in_ether(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = WALLET
    assert app.main(["wallet", "show"]) == 0
    shown = capsys.readouterr().out
    assert "1.5 ETH" in shown
    assert "4, 5" in shown
    assert "stopped: nonce 4 was used" in shown
    assert app.main(["wallet", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == WALLET
    assert doors.calls == [("GET", "gchostpay", "/wallet")] * 2


def test_resuming_is_asked_first(doors: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    doors.answer = {"status": "running", "next_nonce": 6, "lost": [4]}
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers
    assert app.main(["wallet", "resume"]) == 1
    assert doors.calls == []
    assert app.main(["wallet", "resume", "--yes"]) == 0
    assert app.main(["wallet", "resume", "--yes", "--wallet", "0xab"]) == 0
    assert doors.calls == [("POST", "gchostpay", f"/wallet/resume{query}") for query in ("", "?wallet=0xab")]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_payout_is_abandoned_by_no_slip(doors: Stack, flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    doors.answer = {"status": "abandoning", "unique_id": "p1", "tx_hash": "0x1"}
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers
    assert app.main(["wallet", "abandon", "p1", *flags]) == 1
    assert doors.calls == []
    assert app.main(["wallet", "abandon", "p1", "--yes", *flags]) == 0
    assert doors.calls == [("POST", "gchostpay", "/payouts/p1/abandon")]


def test_a_refusal_is_shown_with_its_code_and_reason(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"error": "NOT_OPEN", "reason": "no payout is waiting"})
    doors.answer = CallFailed("answered 404", status=404, body=body)
    assert app.main(["wallet", "abandon", "p1", "--yes"]) == 1
    assert "gchostpay refuses (404): NOT_OPEN: no payout is waiting" in capsys.readouterr().err


def test_dead_letters_are_listed_as_they_are(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = {"dead_letters": [LETTER], "next": None}
    assert app.main(["dead", "letters"]) == 0
    shown = capsys.readouterr().out
    assert "gchostpay/hostpay_webhook" in shown
    assert "BAD_MESSAGE" in shown
    assert "a [bold] field" in shown
    assert app.main(["dead", "letters", "--json"]) == 0
    (letter,) = json.loads(capsys.readouterr().out)["dead"]
    assert (letter["id"], letter["record"]) == ("letter-1", LETTER)
    assert doors.calls == [("GET", "gcsplit", "/dead-letters?status=open")] * 2


def test_a_long_list_is_read_page_by_page(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = "/failed-transactions?status=open", "/failed-transactions?status=open&after=7"
    doors.by_path[first] = {"failed_transactions": [DEATH], "next": 7}
    doors.by_path[second] = {"failed_transactions": [{**DEATH, "unique_id": "pay2"}], "next": None}
    assert app.main(["dead", "list", "--kind", "payment", "--json"]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["dead"]] == ["pay1", "pay2"]


def test_a_code_that_nothing_has_is_said_with_those_that_there_are(
    doors: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    doors.answer = {"failed_transactions": [DEATH], "next": None}
    assert app.main(["dead", "list", "--kind", "payment", "--code", "RUBBISH"]) == 0
    assert f"has the code RUBBISH; codes there: {DEATH['error_code']}" in capsys.readouterr().out


def test_no_letters_is_said(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = {"dead_letters": [], "next": None}
    assert app.main(["dead", "letters"]) == 0
    assert "nothing is recorded like this" in capsys.readouterr().out


def test_all_that_are_replayed_are_dead_and_retryable(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    hopeless = {**DEATH, "unique_id": "pay2", "retryable": False}
    watched = {**DEATH, "unique_id": "pay3", "status": "investigating"}
    doors.answer = {"failed_transactions": [DEATH, hopeless, watched], "next": None}
    assert app.main(["dead", "replay", "--all", "--kind", "payment", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["would_replay"] == ["pay1"]
    assert doors.calls == [("GET", "gcsplit", "/failed-transactions?status=open")]


NONE = CallFailed("answered 404", status=404, body=json.dumps({"error": "NOT_DEAD", "reason": "no death"}))


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal, and nobody who answers."""
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - closed with the test's process


def test_a_replay_that_is_refused_is_no_success(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    signed = json.dumps({"error": "BEING_PAID", "reason": "a payout of it is signed"})
    doors.by_path = {"/dead/pay1": ONE, "/dead/pay2": {**ONE, "deaths": [{**DEATH, "unique_id": "pay2"}]}}
    doors.by_path["/dead/pay1/replay"] = {"unique_id": "pay1", "status": "replayed"}
    doors.by_path["/dead/pay2/replay"] = CallFailed("answered 409", status=409, body=signed)
    assert app.main(["dead", "replay", "pay1", "pay2", "--yes", "--why", "mended"]) == 1
    done, refused = capsys.readouterr().out.splitlines()
    assert done == "\u2713 pay1  replayed"
    assert refused == "\u2717 pay2  refused  a payout of it is signed"
    assert doors.bodies[-2:] == [{"by": "ann@laptop", "why": "mended"}] * 2


def test_where_nobody_answers_the_rest_is_left_and_told(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.by_path = {"/dead/pay1": ONE, "/dead/pay1/replay": OpsError("nobody answers")}
    doors.by_path["/dead/pay2"] = {**ONE, "deaths": [{**DEATH, "unique_id": "pay2"}]}
    assert app.main(["dead", "replay", "pay1", "pay2", "--yes"]) == 1
    assert "2 of 2 are left: nobody answers" in capsys.readouterr().err
    assert app.main(["dead", "replay", "pay1", "pay2", "--yes", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)  # one value
    assert (told["replayed"], told["answers"], told["left"]) == (0, [], ["pay1", "pay2"])
    assert told["error"]["what"] == "2 of 2 are left: nobody answers"


@pytest.mark.parametrize("verb", [["replay", "pay1", "nosuch"], ["settle", "nosuch", "--note", "by hand"]])
@pytest.mark.usefixtures("nobody")
def test_nobody_is_asked_about_what_is_not_dead(
    doors: Stack, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    doors.answer = NONE
    doors.by_path["/dead/pay1"] = ONE
    assert app.main(["dead", *verb]) == 2
    shown = capsys.readouterr()
    assert "not dead: nosuch\n" in shown.err
    assert "?" not in shown.out
    assert {method for method, *_ in doors.calls} == {"GET"}


@pytest.mark.parametrize(
    "verb",
    [
        ["dead", "replay", "pay1"],
        ["dead", "settle", "pay1", "--note", "by hand"],
        ["dead", "drop", "pay1", "--why", "x"],
        ["wallet", "resume"],
    ],
)
@pytest.mark.usefixtures("nobody")
def test_without_a_terminal_it_is_said_how_to_confirm(
    doors: Stack, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    doors.by_path["/dead/pay1"] = ONE
    assert app.main(verb) == 1
    shown = capsys.readouterr()
    assert "fix: without a terminal, add --yes" in shown.err
    assert shown.out.endswith("]: \n"), "the refusal begins on a line of its own"
    assert app.main([*verb, "--stack", "prod", "--yes"]) == 1
    assert "add --yes --confirm prod" in capsys.readouterr().err
    assert all(method == "GET" for method, *_ in doors.calls)


def test_prod_is_changed_where_it_is_named(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.by_path = {"/dead/pay1": ONE, "/dead/pay1/replay": {"unique_id": "pay1", "status": "replayed"}}
    named = ["--stack", "prod", "--yes", "--confirm"]
    assert app.main(["dead", "replay", "pay1", *named, "dev"]) == 2
    assert all(method == "GET" for method, *_ in doors.calls)
    assert app.main(["dead", "replay", "pay1", *named, "prod"]) == 0
    assert doors.calls[-1] == ("POST", "gcsplit", "/dead/pay1/replay")
    doors.answer = {"status": "running", "next_nonce": 6, "lost": []}
    assert app.main(["wallet", "resume", *named, "prod", "--why", "our own script"]) == 0
    assert doors.bodies[-1] == {"by": "ann@laptop", "why": "our own script"}
    assert "next nonce 6" in capsys.readouterr().out
