"""`sluice wallet` and `sluice dead letters`: what they call, what they print, and what they ask before they do it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops import app
from ops.errors import CallFailed
from ops.verbs import dead, wallet

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
}


class Doors:
    """Stands for the operator's account: records calls, answers what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.answer: Any = {}
        self.by_path: dict[str, Any] = {}

    def call(self, method: str, service: str, path: str, _body: Any = None) -> Any:
        self.calls.append((method, service, path))
        answer = self.by_path.get(path, self.answer)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Doors:
    made = Doors()
    for module in (wallet, dead):
        monkeypatch.setattr(module, "Operator", lambda _home: made)
    return made


def test_the_wallet_is_shown_in_ether(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = WALLET
    assert app.main(["wallet", "show"]) == 0
    shown = capsys.readouterr().out
    assert "1.5 ETH" in shown
    assert "4, 5" in shown
    assert "stopped: nonce 4 was used" in shown
    assert app.main(["wallet", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == WALLET
    assert doors.calls == [("GET", "gchostpay", "/wallet")] * 2


def test_resuming_is_asked_first(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    doors.answer = {"status": "running", "next_nonce": 6, "lost": [4]}
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers
    assert app.main(["wallet", "resume"]) == 1
    assert doors.calls == []
    assert app.main(["wallet", "resume", "--yes"]) == 0
    assert app.main(["wallet", "resume", "--yes", "--wallet", "0xab"]) == 0
    assert doors.calls == [("POST", "gchostpay", f"/wallet/resume{query}") for query in ("", "?wallet=0xab")]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_payout_is_abandoned_by_no_slip(doors: Doors, flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    doors.answer = {"status": "abandoning", "unique_id": "p1", "tx_hash": "0x1"}
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers
    assert app.main(["wallet", "abandon", "p1", *flags]) == 1
    assert doors.calls == []
    assert app.main(["wallet", "abandon", "p1", "--yes", *flags]) == 0
    assert doors.calls == [("POST", "gchostpay", "/payouts/p1/abandon")]


def test_a_refusal_is_shown_with_its_code_and_reason(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"error": "NOT_OPEN", "reason": "no payout is waiting"})
    doors.answer = CallFailed("answered 404", status=404, body=body)
    assert app.main(["wallet", "abandon", "p1", "--yes"]) == 1
    assert "gchostpay refuses (404): NOT_OPEN: no payout is waiting" in capsys.readouterr().err


def test_dead_letters_are_listed_as_they_are(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = {"dead_letters": [LETTER]}
    assert app.main(["dead", "letters"]) == 0
    shown = capsys.readouterr().out
    assert "gchostpay/hostpay_webhook" in shown
    assert "BAD_MESSAGE" in shown
    assert "a [bold] field" in shown
    assert app.main(["dead", "letters", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"letters": [LETTER]}
    assert doors.calls == [("GET", "gcsplit", "/dead-letters")] * 2


def test_no_letters_is_said(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = {"dead_letters": []}
    assert app.main(["dead", "letters"]) == 0
    assert "there is no dead letter" in capsys.readouterr().out


def test_all_that_are_replayed_are_dead_and_retryable(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.answer = {
        "failed_transactions": [{"unique_id": "pay1", "retryable": True}, {"unique_id": "pay2", "retryable": False}]
    }
    assert app.main(["dead", "replay", "--all", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["would_replay"] == ["pay1"]
    assert doors.calls == [("GET", "gcsplit", "/failed-transactions?status=dead")]


OPEN = "/failed-transactions?status=open"
NOT_DEAD = json.dumps({"error": "NOT_DEAD", "reason": "no death of this payment is recorded"})


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal, and nobody who answers."""
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - closed with the test's process


def test_a_replay_that_is_refused_is_no_success(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.by_path["/dead/pay1/replay"] = {"unique_id": "pay1", "status": "replayed"}
    doors.answer = CallFailed("answered 404", status=404, body=NOT_DEAD)
    assert app.main(["dead", "replay", "pay1", "nosuch", "--yes"]) == 1
    done, refused = capsys.readouterr().out.splitlines()
    assert done == "\u2713 pay1  replayed"
    assert refused == "\u2717 nosuch  refused  no death of this payment is recorded"


@pytest.mark.parametrize("verb", [["replay", "pay1", "nosuch"], ["settle", "nosuch", "--note", "by hand"]])
@pytest.mark.usefixtures("nobody")
def test_nobody_is_asked_about_what_is_not_dead(
    doors: Doors, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    doors.answer = {"failed_transactions": [{"unique_id": "pay1", "retryable": True}]}
    assert app.main(["dead", *verb]) == 2
    shown = capsys.readouterr()
    assert "not dead: nosuch\n" in shown.err
    assert "?" not in shown.out
    assert doors.calls == [("GET", "gcsplit", OPEN)]


@pytest.mark.parametrize(
    "verb", [["dead", "replay", "pay1"], ["dead", "settle", "pay1", "--note", "by hand"], ["wallet", "resume"]]
)
@pytest.mark.usefixtures("nobody")
def test_without_a_terminal_it_is_said_how_to_confirm(
    doors: Doors, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    doors.answer = {"failed_transactions": [{"unique_id": "pay1", "retryable": True}]}
    assert app.main(verb) == 1
    assert "fix: without a terminal, add --yes" in capsys.readouterr().err
    assert all(method == "GET" for method, *_ in doors.calls)
