"""`sluice dead settle` and `mark`: what they say of whose money before they are told to go on, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops import app, place
from ops.errors import CallFailed
from tests.ops.test_operator_verbs import DEATH, ONE, Stack

WALLET, HASH = "0x" + "ef" * 20, "0x" + "ab" * 32
BATCH = {
    "kind": "batch", "id": "b1", "since": "2026-11-22T20:00:00Z", "status": "refused", "code": "EXCHANGE_X", "why": "x",
    "currency": "eth", "amount": str(97 * 10**15), "members": 40, "attempts": 1, "retryable": True,
    "payments": ["pay1", "pay2"],
}  # fmt: skip
SETTLED = {"status": "settled", "batch_id": "b1"}


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A batch of forty that is refused, and a payment that is dead."""
    made = Stack()
    none = CallFailed("answered 404", status=404, body=json.dumps({"error": "NOT_DEAD", "reason": "none"}))
    made.answer = none
    made.by_path = {
        **dict.fromkeys(("/refused/b1", "/refused/pay1"), BATCH),
        "/payments/pay1": {"request": {"client_wallet": WALLET}, "batch": {"batch_id": "b1", "members": 40}},
        "/dead/lone": {**ONE, "deaths": [{**DEATH, "unique_id": "lone"}]},
        "/payments/lone": {"request": {"client_wallet": WALLET}, "batch": None},
        "/batches/b1/settle": SETTLED,
    }

    def of(stack: str) -> Stack:
        made.stack = stack
        return made

    monkeypatch.setattr(place, "of", of)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - nobody answers
    return made


def posted(doors: Stack) -> list[Any]:
    return [body for (method, *_), body in zip(doors.calls, doors.bodies, strict=True) if method == "POST"]


@pytest.mark.parametrize("words", [["settle", "pay1", "--note", "x"], ["settle", "pay1", "--note", "x", "--dry-run"]])
def test_a_payment_of_a_batch_is_not_settled_by_itself_and_its_batch_is_named(
    doors: Stack, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert app.main(["dead", *words, "--yes"]) == 2
    said = capsys.readouterr().err
    assert f"pay1 is one payment of batch b1 (0.097 eth of 40 payments to {WALLET}): nothing was done" in said
    assert "./sluice dead settle b1" in said
    assert posted(doors) == []


@pytest.mark.parametrize(
    ("id_", "words"),
    [
        ("b1", f"batch b1 (0.097 eth of 40 payments to {WALLET})"),
        ("lone", f"payment lone (0.{5:018d} eth to {WALLET})"),
    ],
)
def test_whose_money_and_how_much_is_said_in_the_question_and_by_a_dry_run(
    doors: Stack, capsys: pytest.CaptureFixture[str], id_: str, words: str
) -> None:
    settle = ["dead", "settle", id_, "--tx", HASH.upper().replace("0X", "0x")]
    assert app.main(settle) == 1
    assert f"Record that {words} was paid by other means? It is never paid after that; no undo." in (
        capsys.readouterr().out
    )
    assert app.main([*settle, "--dry-run"]) == 0
    assert f"would settle {words}" in capsys.readouterr().out
    assert app.main([*settle, "--stack", "prod", "--yes"]) == 1
    assert words in capsys.readouterr().err
    assert posted(doors) == []
    assert app.main([*settle, "--note", "by hand", "--yes", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["would_change"], told["client_wallet"], told["tx_hash"]) == (id_, WALLET, HASH)


def test_the_transaction_and_the_note_are_both_sent_whole_and_a_longer_one_is_refused(
    doors: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "n" * 1000
    assert app.main(["dead", "settle", "b1", "--tx", HASH, "--note", note, "--yes"]) == 0
    assert posted(doors) == [{"by": "ann@laptop", "tx_hash": HASH, "note": note}]
    for verb in (["settle", "b1"], ["mark", "lone", "dead"]):
        assert app.main(["dead", *verb, "--note", note + "n", "--yes"]) == 2
        assert "--note has 1,001 characters, and 1,000 are kept" in capsys.readouterr().err
    assert app.main(["dead", "settle", "b1", "--tx", HASH[:-1], "--yes"]) == 2
    assert len(posted(doors)) == 1


@pytest.mark.parametrize(
    ("words", "ends"),
    [(["pay1", "dead"], 2), (["b1", "investigating"], 2), (["lone", "asleep"], 2), (["lone", "investigating"], 0)],
)
def test_a_dry_run_of_a_mark_ends_as_the_mark_does(doors: Stack, words: list[str], ends: int) -> None:
    doors.by_path["/dead/pay1"] = {**ONE, "deaths": [{**DEATH, "unique_id": "b1"}]}  # the payout of its batch
    doors.by_path["/failed-transactions/lone/status"] = {"status": "investigating"}
    assert [app.main(["dead", "mark", *words, *more]) for more in (["--dry-run"], [])] == [ends, ends]


def test_what_is_settled_already_would_not_be_changed(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.by_path["/refused/b1"] = {**BATCH, "status": "settled"}
    assert app.main(["dead", "settle", "b1", "--note", "x", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["would_change"], told["standing"]) == (None, "settled")


def test_a_second_refusal_is_no_success_of_a_release_before_either(
    doors: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    doors.by_path["/batches/b1/retry"] = {"status": "refused", "batch_id": "b1"}
    assert app.main(["dead", "replay", "b1", "--yes"]) == 1
    assert "\u2717 b1  refused  the exchange has refused it again" in capsys.readouterr().out


def test_who_waits_in_a_refused_batch_and_behind_it_is_counted(
    doors: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    doors.by_path["/refused?status=open"] = {"refused": [{**BATCH, "behind": 6}], "next": None}
    assert app.main(["dead", "list", "--kind", "batch"]) == 0
    assert "x (40 payments in it, 6 more of the same client behind it)" in capsys.readouterr().out


def test_what_was_settled_before_is_no_success_of_other_words(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    doors.by_path["/batches/b1/settle"] = {**SETTLED, "already": "settled"}
    actions = [{"verb": "settle", "why": "bank 17"}, {"verb": "replay", "why": None}]
    doors.by_path["/operator-actions?subject=b1"] = {"actions": actions, "next": None}
    assert app.main(["dead", "settle", "b1", "--note", "bank 17", "--yes"]) == 0
    assert app.main(["dead", "settle", "b1", "--note", "bank 18", "--yes"]) == 1
    assert "what was said now is not kept  it was settled by: bank 17" in capsys.readouterr().out


def test_a_conversion_is_settled_at_its_own_door(doors: Stack) -> None:
    doors.by_path["/refused/lost"] = {**BATCH, "kind": "conversion", "id": "lost", "members": 1, "payments": []}
    doors.by_path["/payments/lost"] = {"request": {"client_wallet": WALLET}, "batch": None}
    doors.by_path["/conversions/lost/settle"] = {"status": "settled", "unique_id": "lost", "batch_id": "b2"}
    assert app.main(["dead", "settle", "lost", "--note", "given back", "--yes"]) == 0
    assert posted(doors) == [{"by": "ann@laptop", "note": "given back"}]


def test_ids_and_all_are_not_taken_together(doors: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["dead", "replay", "b1", "--all", "--yes"]) == 2
    assert "ids and --all were given" in capsys.readouterr().err
    assert doors.calls == []


def test_what_is_listed_and_not_marked_is_said_to_be_what_it_is(
    doors: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["dead", "mark", "b1", "investigating"]) == 2
    said = capsys.readouterr().err
    assert "b1 is of kind batch, refused: this is not done with one" in said
    assert "./sluice dead show b1" in said


def test_a_replay_of_what_was_settled_says_that_nothing_is_paid(
    doors: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    doors.by_path["/batches/b1/retry"] = {"status": "already_settled", "batch_id": "b1"}
    assert app.main(["dead", "replay", "b1", "--yes"]) == 0
    assert "b1  already_settled  it was paid by other means: nothing is paid by this" in capsys.readouterr().out
