"""The verbs of queues: production is asked for by its name, and a refusal says which permission is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops import app, place
from ops.cloud import Cloud
from ops.errors import CallFailed, OpsError
from ops.place import Local
from ops.queues.calls import Calls
from tests.ops.hands import PAYING, Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


@pytest.fixture
def prod(at_hand: Hands, monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The stack at hand under production's name."""
    monkeypatch.setattr(place, "of", lambda name: Local(Cloud(at_hand.place.rest), stack=name))
    return at_hand


VERBS = [
    ("queues", "run", PAYING, "--all"),
    ("queues", "move", PAYING, "--to-side", "stable"),
    ("queues", "purge", PAYING, "--without-export"),
    ("queues", "resume", PAYING),
    ("drain", PAYING, "--pause", "--change", "0s"),
]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: " ".join(words[:2]))
def test_production_is_changed_only_under_its_name(prod: Hands, sluice: Sluice, words: tuple[str, ...]) -> None:
    prod.put(PAYING, *prod.names(1), tag="canary", after=3600)
    before = prod.waiting(PAYING), prod.state(PAYING)
    code, told = sluice(*words, "--stack", "prod")
    assert (code, "--confirm prod" in told["error"]["fix"]) == (1, True)
    code, told = sluice(*words, "--stack", "prod", "--confirm", "staging")
    assert (code, "--confirm staging is not the stack" in told["error"]["what"]) == (2, True)
    assert (prod.waiting(PAYING), prod.state(PAYING)) == before
    assert sluice(*words, "--stack", "prod", "--dry-run")[0] == 0
    assert (prod.waiting(PAYING), prod.state(PAYING)) == before
    assert sluice(*words, "--stack", "prod", "--confirm", "prod")[0] == 0
    assert prod.audits(" ".join(words[:2]) if words[0] == "queues" else "drain")[0]["stack"] == "prod"


def _answers(monkeypatch: pytest.MonkeyPatch, *failures: CallFailed) -> list[str]:
    """Each call of Cloud Tasks is answered with the next of these, then as usual."""
    real, left, asked = Local.call, list(failures), list[str]()

    def call(self: Local, api: str, method: str, path: str, *more: Any, **named: Any) -> Any:
        asked.append(f"{method} {path}")
        if api == "tasks" and left:
            raise left.pop(0)
        return real(self, api, method, path, *more, **named)

    monkeypatch.setattr(Local, "call", call)
    return asked


def _failed(status: int, message: str, name: str = "") -> CallFailed:
    body = json.dumps({"error": {"code": status, "message": message, "status": name}})
    return CallFailed(f"answered {status}", status=status, body=body)


def test_a_missing_permission_is_named_with_a_role_that_has_it(
    at_hand: Hands, sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        'The principal (user or service account) lacks IAM permission "cloudtasks.tasks.fullView" for the resource '
        f'"{at_hand.path(PAYING)}" (or the resource may not exist).'
    )
    _answers(monkeypatch, _failed(403, said))
    code, told = sluice("queues", "describe", PAYING, yes=False)
    assert code == 1
    assert told["error"]["why"] == "the permission cloudtasks.tasks.fullView is missing"
    assert "roles/cloudtasks.enqueuer" in told["error"]["fix"]


def test_a_call_that_is_put_off_is_given_again_a_few_times_and_then_said(
    at_hand: Hands, sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("ops.queues.calls.pause", waited.append)
    busy = _failed(429, "Quota exceeded", "RESOURCE_EXHAUSTED")
    _answers(monkeypatch, busy, busy)
    assert sluice("queues", "describe", PAYING, yes=False)[0] == 0
    assert waited == [1.0, 2.0]
    _answers(monkeypatch, *[busy] * 9)
    code, told = sluice("queues", "describe", PAYING, yes=False)
    assert (code, "Quota exceeded" in told["error"]["what"]) == (1, True)


def test_a_queue_that_is_not_there_is_told_its_nearest(
    at_hand: Hands, sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("describe",), ("tasks",), ("run", "--all"), ("purge", "--without-export")):
        verb, *more = words
        asked = ["queues", verb, "gchostpay3-retry-queu", *more, "--json"]
        assert app.main([*asked, "--yes"] if verb in ("run", "purge") else asked) == 2, words
        assert "did you mean gchostpay3-retry-queue?" in capsys.readouterr().out


def test_a_name_that_is_taken_counts_as_made_and_a_create_that_was_given_up_does_not(
    at_hand: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(place.of("local"))
    _answers(monkeypatch, _failed(409, "Requested entity already exists", "ALREADY_EXISTS"))
    assert calls.create(PAYING, {"name": "x"}) is False
    _answers(monkeypatch, _failed(409, "try again", "ABORTED"))
    with pytest.raises(CallFailed):
        calls.create(PAYING, {"name": "x"})
    _answers(monkeypatch, _failed(404, "Queue does not exist."))
    with pytest.raises(OpsError, match="takes no task"):
        calls.create(PAYING, {"name": "x"})


def test_what_was_done_stands_where_the_audit_entry_is_refused(
    at_hand: Hands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_self: Local, *_words: Any, **_more: Any) -> None:
        raise CallFailed("logging.logEntries.create is missing", status=403)

    monkeypatch.setattr(Local, "audit", refused)
    at_hand.put(PAYING, *at_hand.names(1), after=3600)
    assert app.main(["queues", "run", PAYING, "--all", "--yes"]) == 0
    assert "no audit entry of it was written: logging.logEntries.create is missing" in capsys.readouterr().out
