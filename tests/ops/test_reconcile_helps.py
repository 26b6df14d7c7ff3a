"""What `sluice reconcile` prescribes is a command for the stack that was looked at, and for no other."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops import specs
from ops.errors import CallFailed
from ops.output import Output
from ops.reconcile import books, payments
from ops.reconcile.found import Finding, Found
from ops.reconcile.helps import Elsewhere, Helps
from ops.verbs import reconcile

ROOT = Path(__file__).parents[2]
NOW, DUE = "2027-01-15T08:00:00.000Z", "2027-01-15T07:00:00Z"
EVERY_STAGE = [*payments.STAGES, "a stage of a newer release"]


def payment(stage: str) -> dict[str, Any]:
    return {"unique_id": f"of {stage}", "flow": "split", "stage": stage, "since": NOW, "code": None, "last": None}


def held(status: str) -> dict[str, Any]:
    return payment("dead") | {"unique_id": status, "code": "X", "death": status, "retryable": False}


def event(status: str) -> dict[str, Any]:
    return {"event_id": f"it's {status}", "status": status, "code": "X", "since": NOW, "published": True}


NO_SUMS: dict[str, Any] = {"now": NOW, "sums": []}
TOKEN = {"tx_hash": "0x1", "currency": "usdt", "unique_id": None, "since": NOW, "ledger": "1", "book": "2"}
ORDER = {"cn_api_id": "c", "paid": "completed", "exchange": "failed", "matches": True, "since": NOW, "unique_id": "o"}
#: Everything that can be wrong, as the doors say it.
SAID: dict[tuple[str, str], dict[str, Any]] = {
    ("gcsplit", "/reconcile/payments"): {
        "payments": [*(payment(stage) for stage in EVERY_STAGE), held("dead"), held("investigating")]
    },
    ("gcsplit", "/reconcile/orders"): {"orders": [ORDER]},
    ("gcsplit", "/reconcile/ledger"): NO_SUMS
    | {
        "differing": [{"account": "a", "currency": "eth", "ledger": "1", "rows": "2", "unique_id": "p", "since": NOW}],
        "unbalanced": [{"unique_id": None, "entry_key": "e", "since": None}],
    },
    ("gchostpay", "/reconcile/wallet"): NO_SUMS
    | {"address": "0xa", "stopped": "a foreign nonce", "stopped_at": NOW, "foreign": [{"nonce": 4}], "gaps": [5]}
    | {"moved": [], "lost": [{"nonce": 4, "unique_id": "l", "since": NOW}]}
    | {"unposted": [{"nonce": 3, "unique_id": "u", "since": NOW}], "posted_otherwise": [TOKEN]},
    ("gchostpay", "/reconcile/payouts"): {
        "differing": [{"tx_hash": "0x2", "why": "w", "unique_id": "d", "nonce": 2, "since": NOW}]
    },
    ("paynowwebhook", "/reconcile/events"): {"events": [event("queued"), event("failed")]},
    ("paynowwebhook", "/reconcile/points"): {
        "sums": {"wallets": "0", "credits": "0", "ledger": "0"},
        "uncredited": [{"event_id": "n", "since": NOW}],
        "wallets": [{"user_id": "u", "points": 1, "credits": 2}],
        "posted": [{"event_id": "c", "credit_key": "k", "credited": 1, "posted": 2, "since": NOW}],
    },
}


class Broken:
    """A stack where everything is wrong."""

    location = "projects/p/locations/us-central1"

    def __init__(self, helps: Helps) -> None:
        self.helps = helps

    def call(self, service: str, path: str) -> Any:
        return {"now": NOW, "next": None} | SAID[service, path.partition("?")[0]]

    def funded(self, address: str) -> dict[str, int]:
        return {address: 1}

    def tasks(self, path: str) -> Any:
        if "/tasks" in path:
            return {"tasks": [{"scheduleTime": DUE}]}
        return {"queues": [{"name": f"q/{state.lower()}", "state": state} for state in ("PAUSED", "RUNNING")]}


def prescribed(helps: Helps) -> dict[tuple[str, str], str]:
    """What helps, by what it is about and the stage."""
    reach, found = Broken(helps), Found(now=NOW)
    payments.look_at_payments(reach, found, "")
    payments.look_at_events(reach, found, "")
    payments.look_at_queues(reach, found, NOW)
    books.look_at_ledger(reach, found)
    books.look_at_wallet(reach, found, {}, every=False)
    books.look_at_orders(reach, found, 20)
    books.look_at_points(reach, found)
    assert len(found.findings) > len(EVERY_STAGE) + 12
    return {(one.about, one.stage): one.help for one in found.findings}


def commands(helps: Helps) -> set[str]:
    return {one for one in prescribed(helps).values() if not one.startswith("docs/runbook.md")}


def test_on_google_cloud_every_command_names_the_stack_it_is_for() -> None:
    config = specs.config_of("prod")
    for one in commands(Elsewhere(config)):
        assert f"--project {config.project}" in one or (one.startswith("./sluice ") and one.endswith(" --stack prod"))


def test_on_the_local_stack_every_command_is_a_verb() -> None:
    verbs = {path.stem for path in (ROOT / "ops/verbs").glob("[a-z]*")}
    for one in commands(Helps()):
        assert one.startswith("./sluice ")
        assert one.split()[1] in verbs


@pytest.mark.parametrize("helps", [Helps(), Elsewhere(specs.config_of("prod"))], ids=["local", "prod"])
def test_every_command_is_one_that_a_shell_reads(helps: Helps) -> None:
    for one in commands(helps):
        done = subprocess.run(["bash", "-n", "-c", one], capture_output=True, text=True, check=False)
        assert done.stderr == "", one


def test_a_dead_payment_is_replayed_in_the_stack_that_it_is_of() -> None:
    there, here = prescribed(Elsewhere(specs.config_of("prod"))), prescribed(Helps())
    assert here["of dead", "dead"] == "./sluice dead replay 'of dead'"
    assert there["of dead", "dead"] == f"{here['of dead', 'dead']} --stack prod"


def test_a_paused_queue_is_resumed_in_the_cloud_that_it_is_of() -> None:
    there, here = prescribed(Elsewhere(specs.config_of("prod"))), prescribed(Helps())
    assert here["paused", "paused"] == "./sluice queues resume paused"
    assert there["paused", "paused"] == "./sluice queues resume paused --stack prod"
    assert here["running", "overdue"] == "./sluice queues describe running"
    assert there["running", "overdue"] == "./sluice queues describe running --stack prod"


class Gone(Broken):
    """A stack with one payment whose task its queue has given up, and more orders than anybody wants to ask for."""

    def __init__(self, sent_at: str, queue: str = "split-payment-queue") -> None:
        super().__init__(Helps())
        last = {"queue": queue, "task": "t", "direct": False, "sent_at": sent_at, "cancelled_at": None}
        self._row = payment("split") | {"last": last}

    def call(self, service: str, path: str) -> Any:
        if path.startswith("/reconcile/orders"):
            return {"now": NOW, "orders": [ORDER | {"cn_api_id": path}] * 20, "next": "more"}
        return {"now": NOW, "next": None, "payments": [self._row]}

    def tasks(self, path: str) -> Any:
        raise CallFailed(path, status=404)


@pytest.mark.parametrize(
    ("sent_at", "why", "help_"),
    [
        ("2027-01-15T07:30:00.000Z", "puts it anew at 2027-01-15T08:30 at the latest", "resend 'of split'"),
        ("2027-01-15T06:00:00.000Z", "should have put it anew at 2027-01-15T07:00", "status"),
    ],
)
def test_a_payment_whose_task_was_exhausted_says_who_puts_it_anew_by_when_and_what_does_it_now(
    sent_at: str, why: str, help_: str
) -> None:
    found = Found(now=NOW)
    payments.look_at_payments(Gone(sent_at), found, "")
    (one,) = found.findings
    assert f"the schedule gcwebhook-sweep {why}" in one.why
    assert one.help == f"./sluice {help_}"


def test_no_schedule_is_waited_for_where_none_puts_a_message_anew() -> None:
    found = Found(now=NOW)
    payments.look_at_payments(Gone("2027-01-15T06:00:00.000Z", "gcsplit-estimate-queue"), found, "")
    (one,) = found.findings
    assert "the schedule" not in one.why
    assert one.help == "./sluice resend 'of split'"


def test_orders_that_were_not_to_be_asked_for_are_said_and_are_no_failure() -> None:
    found = Found(now=NOW)
    books.look_at_orders(Gone(NOW), found, 60)
    assert found.not_compared == []
    (said,) = found.bounded
    assert "60 orders were looked at, and there are more; --orders N" in said


@pytest.mark.parametrize(("in_flight", "young"), [(5, 0), (7, 2)])
def test_what_is_young_and_named_all_the_same_is_not_counted_as_too_young_to_be_named(
    in_flight: int, young: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = [
        Finding(kind="stuck", about=f"p{n}", stage="staged", why="its task is gone", help="", figure=f"task-{n}")
        for n in range(5)
    ]
    found = Found(findings=lost, in_flight={"staged": in_flight, "signed": 3}, now=NOW)
    reconcile._show(Output(as_json=False), found, "./sluice resend --all")
    said = capsys.readouterr().out
    assert ("too young" in said) is (young > 0)
    assert not young or f"    {young} of them are too young to be named" in said
