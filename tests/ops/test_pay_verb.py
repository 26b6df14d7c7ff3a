"""`sluice pay`: what it refuses before anything is sent, and what it says when the stack stops meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops import app, follow, paynow, rest, stack_config
from ops.errors import BadUsage, CallFailed, OpsError, Unreachable
from ops.home import Home
from ops.output import Output
from ops.supervisor import control
from ops.verbs import pay


class GoneStack:
    """Stands for the operator's account of a stack that told of one payment, and is stopped."""

    def __init__(self, home: Home) -> None:
        self.cloud = SimpleNamespace(home=home)

    def call(self, _method: str, _service: str, path: str) -> Any:
        if path == "/payments/pay0":
            return {"status": "paid", "hops": []}
        raise OpsError("nobody answers")


def test_following_ends_with_the_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(follow, "Operator", GoneStack)
    sent: dict[str, dict[str, Any]] = {f"pay{number}": {} for number in range(3)}
    with pytest.raises(OpsError, match=r"the local stack stopped while .*: 1 of 3 were at their end") as caught:
        follow.Follower(Home(tmp_path)).follow(sent, seconds=3600)
    assert "./sluice up" in caught.value.fix


class SlowStack:
    """Stands for a stack that knows every payment, paid or not: each look at it takes a second of this clock."""

    def __init__(self, home: Home) -> None:
        self.cloud, self.at = SimpleNamespace(home=home), 0.0

    def call(self, *_: Any) -> Any:
        self.at += 1
        return {"status": "accumulated", "hops": []}


def test_whoever_stood_behind_others_is_asked_about_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = SlowStack(Home(tmp_path))
    monkeypatch.setattr(follow, "Operator", lambda _home: stack)
    for module in (follow, paynow):
        clock = SimpleNamespace(monotonic=lambda: stack.at, sleep=lambda _seconds: None)
        monkeypatch.setattr(module, "time", clock)
    found = follow.Follower(Home(tmp_path)).follow({f"pay{number}": {} for number in range(40)}, seconds=4)
    assert {one["status"] for one in found} == {"accumulated"}
    events = paynow.follow(cast(Any, stack), [f"event{number}" for number in range(40)], seconds=4)
    assert {one["status"] for one in events} == {"accumulated"}


@pytest.mark.parametrize(("answer", "said"), [(404, "unrecorded"), (503, "unknown: its service did not answer")])
def test_only_what_the_service_says_it_has_no_row_of_is_unrecorded(
    answer: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def call(*_: Any) -> Any:
        raise CallFailed("no", status=answer)

    stack = SlowStack(Home(tmp_path))
    monkeypatch.setattr(stack, "call", call)
    monkeypatch.setattr(follow, "Operator", lambda _home: stack)
    monkeypatch.setattr(control, "running", lambda _home: True)
    (found,) = follow.Follower(Home(tmp_path)).follow({"pay0": {}}, seconds=0)
    assert found["status"] == said


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (
            {"status": "accumulated", "accumulation": {"conversion_status": "failed", "conversion_error": "E_1: why"}},
            "E_1: why (its conversion); ./sluice dead show pay0",
        ),
        (
            {"status": "refused", "accumulation": {"conversion_status": "completed"}, "batch": {
                "batch_id": "b1", "status": "refused", "error_code": "E_2", "error_message": "no"}},
            "E_2: no (its batch); ./sluice dead show b1",
        ),
    ],
)  # fmt: skip
def test_what_the_exchange_has_refused_is_at_its_end_and_said_with_its_reason(
    kept: dict[str, Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = SlowStack(Home(tmp_path))
    monkeypatch.setattr(stack, "call", lambda *_: {"unique_id": "pay0", "hops": [], **kept})
    monkeypatch.setattr(follow, "Operator", lambda _home: stack)
    (found,) = follow.Follower(Home(tmp_path)).follow({"pay0": {}}, seconds=3600)
    follow.show_payment(Output(as_json=False), found)
    shown = capsys.readouterr().out
    assert "pay0 is refused" in shown
    assert said in shown
    assert "not at its end" not in shown


def test_events_that_paynow_is_not_done_with_in_time_are_named_with_what_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[dict[str, Any]] = []
    stack = SimpleNamespace(
        cloud=SimpleNamespace(ports=SimpleNamespace(sandbox=1)),
        call=lambda _method, _service, path, *_: {"status": "processed", "event_id": path.rpartition("/")[2]},
    )

    def call(method: str, _url: str, wanted: Any = None, **_how: Any) -> Any:
        for number, customer in enumerate(["another", wanted["customer"], wanted["customer"]] if wanted else []):
            body = json.dumps({"body": {"customer": {"id": customer}}})
            made.append({"event_id": f"e{number}", "body": body, "acknowledged": number == 1})
        if method == "POST":
            raise Unreachable("nobody answers (timed out)")
        return {"events": made}

    monkeypatch.setattr(rest, "call", call)
    found = paynow.send(cast(Any, stack), Output(as_json=False), count=3, timeout=0)
    said = capsys.readouterr().out
    assert "2 of 3 events are made, 1 of them taken; it goes on by itself" in said
    assert [one["event_id"] for one in found["events"]] == ["e1", "e2"]
    assert found["paid"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--flow usdt --currency eth", "--flow is usdt, but --currency is eth"),
        ("--flow paynow --amount 3", "--flow paynow takes no --amount"),
        ("--flow paynow --currency usdt", "--flow paynow takes no --currency"),
        ("--flow nosuch", "--flow is nosuch"),
        ("--amount 1000000000", "nobody pays that much"),
        ("--amount 0.1234567 --currency usdt", "no amount of usdt above 0 with at most 6 decimals"),
        ("--currency btc", "--currency is btc"),
    ],
)
def test_what_cannot_be_paid_as_it_is_said_is_refused(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))  # no stack: what is not refused says so
    assert app.main(["pay", *words.split()]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", ["", "--flow usdt", "--flow usdt --currency USDT", "--amount 999999999.5"])
def test_what_can_be_paid_goes_to_the_stack(
    words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    assert app.main(["pay", *words.split()]) == 1
    assert "no local stack is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flow", "changes", "fix"),
    [
        ("staged", {"sluice:canaryPercent": {"payout": 0}}, "./sluice rollout start payout --force"),
        ("staged", {"sluice:stop": ["payout"]}, "take payout out of sluice:stop in {home}/stack.yaml"),
        ("split", {"sluice:canaryPercent": {"payout": 100}}, "./sluice rollback payout"),
    ],
)
def test_a_way_without_a_share_is_given_one_where_the_share_is_said(
    flow: str, changes: dict[str, Any], fix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    stack_config.change("local", changes)
    elsewhere = SimpleNamespace(call=lambda *_: {"way": "another"})
    with pytest.raises(BadUsage) as caught:
        pay.ids_of(cast(Any, elsewhere), flow, 1)
    assert fix.format(home=tmp_path) in caught.value.fix
