"""What has to happen for each alert to fire, and what is just not enough: one entry an alert, by its file's name.

`alert: which` names a second entry of an alert that fires for several reasons. The quiet one comes first, then time
passes until all of it is forgotten, then the loud one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from ops.cloud import Cloud as OpsCloud
from ops.place import Local
from ops.queues.rests import SLOWLY, Rests
from tests.dashboards.stage import Stage

Act = Callable[[Stage], None]
SPLIT, HOSTPAY = "split-payment-queue", "hostpay-execution-queue"
#: Where PayNow's events wait, and those that nobody can handle.
EVENTS, DEAD = "paynow-events-sub", "paynow-events-dlq-sub"

_payments = count(1)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is not enough, and what is."""

    quiet: Act
    loud: Act
    #: Minutes before each of them: longer than the alert looks back.
    apart: float = 70


def logged(event: str, instead: str, service: str = "gcsplit", **fields: Any) -> Scenario:
    """A line is enough; that of another event is not."""

    def act(event: str) -> Act:
        def run(stage: Stage) -> None:
            stage.line(event, service, **{"severity": "ERROR", "unique_id": f"payment-{next(_payments)}", **fields})

        return run

    return Scenario(quiet=act(instead), loud=act(event), apart=0)


def audited(verb: str, **detail: str) -> Act:
    """A command of an operator's writes down what it did."""

    def act(stage: Stage) -> None:
        Local(OpsCloud(stage.place.rest)).audit(verb, "gcsplit", severity="WARNING", rollout="gcsplit-1", **detail)

    return act


def at(value: Callable[[Stage, float], None], *, enough: float, short: float, minutes: int = 1) -> Scenario:
    """A value is enough when it is reported in each of some minutes; a smaller one is not, however long."""

    def act(of: float) -> Act:
        def run(stage: Stage) -> None:
            for _ in range(minutes):
                value(stage, of)
                stage.passes(1)

        return run

    return Scenario(quiet=act(short), loud=act(enough))


def lasting(happens: Act, minutes: int) -> Scenario:
    """Something that goes on for so many minutes; a minute or two less are too short."""

    def act(times: int) -> Act:
        def run(stage: Stage) -> None:
            for _ in range(times):
                happens(stage)
                stage.passes(1)

        return run

    return Scenario(quiet=act(minutes - 2), loud=act(minutes + 1))


def times(event: str, enough: int, service: str = "gcsplit", **fields: Any) -> Scenario:
    """So many lines are enough, one less is not."""

    def act(lines: int) -> Act:
        def run(stage: Stage) -> None:
            stage.line(event, service, lines, **fields)
            stage.passes(1)

        return run

    return Scenario(quiet=act(enough - 1), loud=act(enough))


def deep(tasks: int) -> Scenario:
    """A queue of so many tasks, which nobody delivers; one less is not enough."""

    def act(kind: str, tasks: int) -> Act:
        def run(stage: Stage) -> None:
            name = stage.queue(kind)
            stage.tasks(name, tasks)
            stage.passes(6)
            stage.purge(name)

        return run

    return Scenario(quiet=act("shallow", tasks - 1), loud=act("deep", tasks))


def growing(minutes: int) -> Act:
    """A queue grows for so long, and is then purged."""

    def run(stage: Stage) -> None:
        name = stage.queue("grows")
        for _ in range(minutes):
            stage.tasks(name, 6)
            stage.passes(1)
        stage.passes(6)
        stage.purge(name)

    return run


def failing(*answers: int) -> Act:
    """Of a hundred tasks some are answered otherwise than by 200."""

    def run(stage: Stage) -> None:
        name = stage.queue("fails", paused=False)
        stage.tasks(name, 100, *answers)
        stage.passes(2)

    return run


def refused(minutes: int) -> Act:
    """Cloud Run refuses a queue's tasks."""

    def run(stage: Stage) -> None:
        name = stage.queue("refused", paused=False)
        for _ in range(minutes):
            stage.tasks(name, 1, 403)
            stage.passes(1)

    return run


def probed(minutes: int) -> Act:
    """A new queue is probed before it is started, and refused all the while, as on Google Cloud."""

    def run(stage: Stage) -> None:
        name, now = stage.queue("probed", paused=False), [0.0]
        rests: Rests[str] = Rests(SLOWLY.waits, lambda: now[0])
        while now[0] < 60 * minutes:
            if not rests.resting(name):
                stage.tasks(name, 1, 403)
                rests.refused(name, "the binding spreads")
            stage.passes(SLOWLY.pause / 60)
            now[0] += SLOWLY.pause

    return run


def ended(completed: int, dead: int, minutes: int = 2) -> Act:
    """So many payments were completed, and so many died."""

    def run(stage: Stage) -> None:
        stage.line("payment_completed", times=completed, way="single", paid_seconds=20.0)
        stage.line("payment_dead", times=dead, code="WINDOW_PASSED", stage="hostpay", severity="ERROR")
        stage.passes(minutes)

    return run


def waits(subscription: str, messages: int, minutes: int) -> Act:
    """Messages wait for so long; then they are taken."""

    def run(stage: Stage) -> None:
        stage.published(subscription, messages)
        stage.passes(minutes)
        stage.taken(subscription)

    return run


def away(event: str, **said: Any) -> Callable[[Stage, float], None]:
    """Of a hundred calls some had no usable answer."""
    field = "outcome" if event == "changenow_call" else "node"

    def run(stage: Stage, share: float) -> None:
        stage.line(event, "gchostpay", 100 - round(share), **{field: "ok"}, **said)
        stage.line(event, "gchostpay", round(share), **{field: "away"}, **said)

    return run


def errors(stage: Stage, share: float) -> None:
    """Of a hundred messages some end in an error; as many again wait for something, as they should."""
    stage.handled(SPLIT, 50)
    stage.handled(SPLIT, 50 - round(share), status="retry", http_status=500)
    stage.handled(SPLIT, round(share), status="error", http_status=500)


def refusals_at_the_door(stage: Stage, share: float) -> None:
    """Of a hundred calls at a public door some are answered by 503."""
    stage.requested("gcwebhook", 200, 100 - round(share))
    stage.requested("gcwebhook", 503, round(share))


def expired(stage: Stage, share: float) -> None:
    """Of a hundred host payments some come too late."""
    stage.handled(HOSTPAY, 100, service="gchostpay", token_age=20.0)
    stage.line("dead_letter", "gchostpay", round(share), code="TOKEN_EXPIRED", severity="ERROR")


def tried(stage: Stage, attempts: float) -> None:
    stage.handled(SPLIT, 10, attempt_number=int(attempts), task_age=1.0, unique_id="p3")


def silence(minutes: float) -> Act:
    """The sweeper goes its rounds, and then does not."""

    def run(stage: Stage) -> None:
        for _ in range(3):
            stage.line("answered", "gchostpay", endpoint="/sweep", http_status=200)
            stage.passes(1)
        stage.passes(minutes)

    return run


def holds(ether: float, minutes: int) -> Act:
    """The wallet holds so much."""

    def run(stage: Stage) -> None:
        for _ in range(minutes):
            stage.line("wallet_means", "gchostpay", currency="eth", balance=str(ether), gas_gwei=10)
            stage.passes(1)

    return run


def falls(hours: int, start: float, end: float) -> Act:
    """The wallet holds less from hour to hour."""

    def run(stage: Stage) -> None:
        for hour in range(1, hours + 1):
            balance = str(round(start + (end - start) * hour / hours, 3))
            stage.line("wallet_means", "gchostpay", currency="eth", balance=balance, gas_gwei=10)
            stage.passes(60)

    return run


def oldest(event: str, **fields: Any) -> Callable[[Stage, float], None]:
    """What a sweeper says each minute."""
    name = "overdue" if event == "waiting" else "oldest"

    def run(stage: Stage, value: float) -> None:
        said: dict[str, Any] = {**fields, name: value}
        stage.line(event, **said)

    return run


def gas(stage: Stage, gwei: float) -> None:
    stage.line("wallet_means", "gchostpay", currency="eth", balance="50", gas_gwei=gwei)


def handled_with(field: str, queue: str = HOSTPAY, service: str = "gchostpay") -> Callable[[Stage, float], None]:
    """Messages are handled; their last line says so much."""
    return lambda stage, value: stage.handled(queue, 10, service=service, **{field: value})


def a_busy_minute(stage: Stage) -> None:
    """Something of everything that the boards show."""
    stage.minute_begins()
    for name in (SPLIT, HOSTPAY, "gcsplit2-queue"):
        stage.queue(name, paused=False, alone=False)
        stage.tasks(name, 3, 500)
    for service in ("gcsplit", "paynowwebhook", "paynowworker", "gchostpay", *(f"gchostpay{n}" for n in range(1, 5))):
        stage.requested(service, 200, 3)
        measured: dict[str, Any] = {
            "task_age": 1.0,
            "task_seconds": 2.0,
            "token_age": 3.0,
            "db_ms": 4.0,
            "node": "ok",
            "node_ms": 5.0,
            "way": "queue",
            "effect": False,
        }
        for status, code in (("next", 200), ("retry", 500), ("error", 500), ("overloaded", 503)):
            stage.handled(HOSTPAY, service=service, status=status, http_status=code, **measured)
        stage.handled(HOSTPAY, service=service, status="dead", code="TOKEN_EXPIRED", **measured)
        for event in ("dead_letter", "enqueue_failed", "payment_dead", "payment_completed", "payment_sent_anew"):
            more: dict[str, Any] = {"severity": "ERROR", "code": "TOKEN_EXPIRED", "stage": "hostpay", "way": "single"}
            stage.line(event, service, queue=HOSTPAY, paid_seconds=9.0, **more)
        for outcome in ("ok", "away"):
            stage.line("changenow_call", service, outcome=outcome, call_ms=9.0)
            stage.handled(HOSTPAY, service=service, node=outcome, node_ms=9.0)
    stage.line("waiting", stage="split", waiting=2, oldest=9.0, overdue=0.5)
    stage.line("conversions_pending", "gcsplit2", oldest=9.0)
    for side in ("stable", "canary"):
        stage.line("side_stands", subject="gcsplit", side=side, begun=3, due=2, unpaid=1)
    stage.line("published", "paynowwebhook", queue="paynow-events")
    gas(stage, 10)
    stage.published(EVENTS, 1)
    stage.passes(3)
    stage.taken(EVENTS)


SCENARIOS: dict[str, Scenario] = {
    "queue-depth": deep(101),
    "queue-depth-critical": deep(1001),
    "queue-stalled": Scenario(quiet=growing(4), loud=growing(16)),
    "task-failures": Scenario(quiet=failing(*[500] * 5), loud=failing(*[500] * 6)),
    "task-failures: a probe": Scenario(quiet=probed(15), loud=failing(*[500] * 6)),
    "hop-refused": Scenario(quiet=refused(5), loud=refused(6)),
    "hop-refused: a probe": Scenario(quiet=probed(15), loud=refused(6)),
    "task-latency": at(handled_with("task_seconds"), enough=31, short=29),
    "task-latency-critical": at(handled_with("task_seconds"), enough=61, short=59, minutes=6),
    "task-latency-critical: for a moment": lasting(lambda stage: handled_with("task_seconds")(stage, 61), 5),
    "task-age": at(handled_with("task_age"), enough=3700, short=3500),
    "payments-late": at(oldest("waiting", stage="split"), enough=1.1, short=1.0, minutes=6),
    "payments-stuck": at(oldest("waiting", stage="single"), enough=6.1, short=6.0, minutes=6),
    "token-age": at(handled_with("token_age"), enough=42, short=39),
    "token-age-critical": at(handled_with("token_age"), enough=57, short=54),
    "token-expired": Scenario(
        quiet=lambda stage: stage.line("dead_letter", "gchostpay", code="BAD_SIGNATURE", unique_id="p1"),
        loud=lambda stage: stage.line("dead_letter", "gchostpay", code="TOKEN_EXPIRED", unique_id="p2"),
    ),
    "token-expiry-rate": at(expired, enough=6, short=5),
    "retries": at(tried, enough=11, short=10),
    "retries-many": at(tried, enough=21, short=20),
    "retries-many: but for confirmations": Scenario(
        quiet=lambda stage: stage.handled("hostpay-confirm-queue", attempt_number=99),
        loud=lambda stage: stage.handled(SPLIT, attempt_number=99, unique_id="p3"),
    ),
    "service-errors": at(errors, enough=6, short=5, minutes=6),
    "service-errors: for a moment": lasting(lambda stage: errors(stage, 20), 5),
    "service-errors: at a public door": at(refusals_at_the_door, enough=6, short=5, minutes=6),
    "exchange-availability": at(away("changenow_call"), enough=6, short=5),
    "exchange-availability-critical": at(away("changenow_call"), enough=11, short=10, minutes=6),
    "node-availability": at(away("handled"), enough=6, short=5),
    "node-availability-critical": at(away("answered"), enough=11, short=10, minutes=6),
    "payment-completion": Scenario(quiet=ended(99, 1, 12), loud=ended(98, 2, 12)),
    "payment-budget-fast": Scenario(quiet=ended(24, 4), loud=ended(23, 4)),
    "payment-budget-fast: a quiet night": Scenario(quiet=ended(0, 3), loud=ended(0, 4)),
    "payment-budget-slow": Scenario(quiet=ended(94, 6), loud=ended(93, 6), apart=370),
    "database-latency": at(handled_with("db_ms"), enough=1100, short=900),
    "database-away": times("database_unavailable", 6),
    "conversions-stuck": at(oldest("conversions_pending", service="gcsplit2"), enough=3601, short=3600),
    "paynow-backlog": Scenario(quiet=waits(EVENTS, 100, 6), loud=waits(EVENTS, 101, 6)),
    "paynow-lag": Scenario(quiet=waits(EVENTS, 1, 4), loud=waits(EVENTS, 1, 7)),
    "paynow-dead-letters": Scenario(quiet=waits(EVENTS, 1, 2), loud=waits(DEAD, 1, 2)),
    "paynow-worker-failures": at(handled_with("http_status", EVENTS, "paynowworker"), enough=500, short=200),
    "payment-dead": logged("payment_dead", "payment_completed", code="WINDOW_PASSED", stage="hostpay", paid_seconds=9),
    "payment-paid-twice": logged("payment_paid_twice", "payment_paid_late"),
    "died-before": logged("died_before", "payment_replayed"),
    "second-payment": logged("difference", "answered", "gcwebhook", code="SECOND_PAYMENT"),
    "dead-letters": Scenario(
        quiet=lambda stage: stage.line("dead_letter", "gchostpay", code="TOKEN_EXPIRED"),
        loud=lambda stage: stage.line("dead_letter", "gchostpay1", code="UNKNOWN_PAYOUT"),
    ),
    "newer-message": logged("newer_message", "handled", status="retry"),
    "tasks-not-made": times("enqueue_failed", 6, queue=SPLIT),
    "callers-refused": times("caller_refused", 11),
    "sweeper-silent": Scenario(quiet=silence(8), loud=silence(11), apart=0),
    "wallet-stopped": logged("wallet_stopped", "wallet_resumed", "gchostpay"),
    "wallet-low": logged("wallet_low", "broadcast_refused", "gchostpay", currency="eth"),
    "wallet-balance": Scenario(quiet=holds(1.1, 15), loud=holds(0.9, 15)),
    "wallet-balance: within half a day": Scenario(quiet=falls(24, 7, 5), loud=falls(6, 5, 1.5), apart=0),
    "gas-price": at(gas, enough=201, short=199, minutes=11),
    "gas-price: for a moment": lasting(lambda stage: gas(stage, 300), 10),
    "gas-too-dear": logged("gas_too_dear", "fee_bumped", "gchostpay"),
    "signer-wrong": logged("signer_wrong", "signed", "gchostpay"),
    "signing-refused": logged("signing_refused", "signed", "gchostpay", code="OVER_DAY_LIMIT"),
    "token-blocked": logged("token_blocked", "signed", "gchostpay", code="TOKEN_PAUSED", currency="usdt"),
    "transfer-astray": logged("transfer_astray", "payout_mined", "gchostpay"),
    "reorganised": logged("reorganised", "payout_mined", "gchostpay"),
    "chain-webhook": logged("webhook_complaint", "chain_news", "gchostpay4"),
    "breaker-open": logged("breaker_open", "breaker_closed", queue=HOSTPAY),
    "breaker-blind": logged("breaker_blind", "breaker_closed", queue=HOSTPAY),
    "sent-anew": times("payment_sent_anew", 11),
    "batch-failed": logged("batch_failed", "batch_sent", "gcmicrobatchprocessor"),
    "batch-refused": logged("batch_refused", "batch_sent", "gcbatchprocessor", code="EXCHANGE_INTERNAL_ERROR"),
    "batches-off": logged("batches_off", "handled", status="next"),
    "credentials-wrong": logged("bad_changenow_key", "changenow_call", outcome="ok"),
    "alert-lost": logged("alert_lost", "alert", "gchostpay3"),
    "record-unread": times("rollout_record_unread", 4, severity="ERROR", why="Cloud Storage answered 403"),
    "rolled-back": Scenario(quiet=audited("rollout promoted"), loud=audited("rollback", event="rolled_back"), apart=0),
}
