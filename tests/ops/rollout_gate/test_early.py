"""The early look: lines of the log roll back before metrics are there, promote nothing, and may be missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import spec
from ops.errors import CallFailed, OpsError
from ops.rollout.gate.early import EVERY, MOST, PERMISSION, EarlyLook
from ops.rollout.gate.judge import EARLY, sooner
from ops.rollout.gate.model import Early, Kind, Samples, Side, Verdict, Window
from ops.rollout.gate.read import read
from ops.rollout.gate.target import Target, release, route
from tests.ops.rollout_gate.conftest import RULES, Field
from tests.ops.rollout_gate.test_looks import FAULTS, tried, well

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
NONE_YET = Window.ending(NOW - timedelta(seconds=20), NOW, RULES)
SHOWN = [name for name in FAULTS if name not in ("dies without a line", "begins payments that are never paid")]
GOOD = Side(handled=300, ended=300, known=300, tokens=300)


def row(verdict: Verdict) -> tuple[Kind, str]:
    """What the early look says; the first word, where it finds several gates broken."""
    found = next(one for one in verdict.gates if one.gate == EARLY)
    return found.kind, found.why


@pytest.mark.parametrize("fault", SHOWN)
def test_a_fault_is_found_in_the_log_while_no_metric_shows_it(field: Field, system: spec.System, fault: str) -> None:
    gate, harm = FAULTS[fault]
    target, since, look = tried(system), field.begins(), EarlyLook(field, system, RULES)
    well(field, target)
    _, before = field.early(look, target, since)
    assert before.kind is Kind.INCONCLUSIVE
    assert row(before)[1].startswith("nothing in 30 lines of its log, and 300 beside it")
    harm(field, target)
    found, after = field.early(look, target, since)
    assert after.window.seconds == 0
    assert after.kind is Kind.UNHEALTHY, (gate, found)
    assert after.why.startswith("from the log: ")
    assert row(after)[0] is Kind.UNHEALTHY


def test_what_both_sides_do_alike_and_a_mere_four_find_nothing(field: Field, system: spec.System) -> None:
    target, since, look = tried(system), field.begins(), EarlyLook(field, system, RULES)
    field.handled(target.canary, 4, status="error", http_status=500)
    assert field.early(look, target, since)[1].kind is Kind.INCONCLUSIVE
    field.handled(target.canary, 36, status="error", http_status=500)
    field.handled(target.stable, 120, status="error", http_status=500)
    assert field.early(look, target, since)[1].kind is Kind.INCONCLUSIVE


def test_five_failures_are_not_enough_until_the_stable_side_tells_that_it_has_none() -> None:
    metrics = Verdict(kind=Kind.INCONCLUSIVE, why="as metrics say", gates=(), window=NONE_YET)

    def said(canary: int, stable: int, alone: bool = False) -> Kind:
        both = Samples(stable=Side(handled=stable), canary=Side(handled=canary, failed=canary))
        return sooner(metrics, Early(samples=both), RULES, alone=alone).kind

    assert [said(5, 5), said(8, 8), said(5, 45)] == [Kind.INCONCLUSIVE, Kind.UNHEALTHY, Kind.UNHEALTHY]
    assert (said(20, 0), said(20, 0, alone=True)) == (Kind.INCONCLUSIVE, Kind.UNHEALTHY)  # as it is at 100 %


def test_lines_and_metrics_say_the_same(field: Field, system: spec.System) -> None:
    target, since, look = tried(system), field.begins(), EarlyLook(field, system, RULES)
    door = {"endpoint": "/confirm", "queue": "hostpay-confirm-queue", "token_age": None}
    for side, times in ((target.stable, 3), (target.canary, 1)):
        field.handled(side, 7 * times)
        field.handled(side, 2 * times, status="retry", http_status=500, **door)
        field.handled(side, 2 * times, status="retry", http_status=500, attempt_number=2)
        field.handled(side, 1 * times, status="overloaded", http_status=503)
        field.handled(side, 2 * times, status="dead", code="TOKEN_EXPIRED", token_age=75)
        field.handled(side, 2 * times, token_age=75, effect=False)
        field.handled(side, 1 * times, task_seconds=10)
        field.line("answered", side, times, endpoint="/", status="said", http_status=404)
    early = look.look(target, since).samples
    field.stage.minute_begins()
    metrics = read(field, target, since, field.now().replace(second=0, microsecond=0))
    assert early is not None
    for here, there in ((early.stable, metrics.stable), (early.canary, metrics.canary)):
        assert here.times.above(10) == there.times.above(10) > 0
        assert replace(here, times=there.times) == there


def test_sides_of_routes_are_told_by_lines_too(field: Field, system: spec.System) -> None:
    since, doors = field.begins(), {"endpoint": "/", "queue": "gcsplit-hostpay-trigger-queue"}
    field.handled("gchostpay.hop", 4, way="direct", queue=None, task_age=None)
    field.handled("gchostpay.way", 5)
    field.handled("gchostpay1.way", 2, **doors)
    field.handled("gcsplit.way", 3, endpoint="/process_split", ways={"estimate": "inline"}, token_age=None)
    field.handled("gcsplit.way", 1, endpoint="/eth-client-swap", token_age=None)

    def handled(name: str) -> tuple[int, int]:
        found = EarlyLook(field, system, RULES).look(route(system, name), since).samples
        assert found is not None
        return found.stable.handled, found.canary.handled

    assert (handled("hostpay-hop"), handled("payout"), handled("estimate")) == ((4, 5), (9, 2), (3, 1))


def test_an_early_look_promotes_nothing_and_hides_no_verdict() -> None:
    good = Early(samples=Samples(stable=GOOD, canary=GOOD), lines=(300, 300))
    ill = Early(samples=Samples(stable=GOOD, canary=Side(handled=20, failed=20)), lines=(300, 20), cut=True)
    for kind in Kind:
        metrics = Verdict(kind=kind, why="as metrics say", gates=(), window=NONE_YET)
        assert (sooner(metrics, good, RULES).kind, sooner(metrics, good, RULES).why) == (kind, "as metrics say")
        said = sooner(metrics, ill, RULES)
        assert said.kind is Kind.UNHEALTHY
        assert said.why.startswith("as metrics say; from the log" if kind is Kind.UNHEALTHY else "from the log")
        assert said.why.endswith("the newest were counted")


class Logging:
    """A place whose log has these entries, or an error for whoever reads it."""

    project = "p"

    def __init__(self, *, local: bool = False) -> None:
        self.local = local
        self.reads = 0
        self.error: OpsError | None = None
        self.entries: list[dict[str, Any]] = []

    def call(self, _api: str, _method: str, _path: str, body: Any = None, *, timeout: float = 30) -> Any:
        assert timeout <= 10
        self.reads += 1
        if self.error is not None:
            raise self.error
        revision = body["filter"].rpartition('revision_name="')[2].rstrip('")')
        since = datetime.fromisoformat(body["filter"].partition('timestamp>="')[2].partition('"')[0])
        found = [
            one for one in reversed(self.entries)
            if one["resource"]["labels"]["revision_name"] == revision
            and datetime.fromisoformat(one["timestamp"]) >= since
        ]  # fmt: skip
        more = {"nextPageToken": "more"} if len(found) > MOST else {}
        return {"entries": found[:MOST], **more}

    def failed(self, revision: str, times: int, at: float, **fields: Any) -> None:
        """A revision fails, or does what is said."""
        for _ in range(times):
            number = len(self.entries)
            when = (NOW + timedelta(seconds=at, microseconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            said = {
                "event": "handled",
                "endpoint": "/",
                "way": "queue",
                "http_status": 500,
                "attempt_number": 1,
                **fields,
            }
            labels = {"service_name": "gchostpay", "revision_name": revision}
            entry = {"insertId": str(number), "timestamp": when, "resource": {"labels": labels}, "jsonPayload": said}
            self.entries.append(entry)


def seen(early: Early) -> int:
    assert early.samples is not None, early.missing
    return early.samples.canary.failed


@pytest.fixture(scope="module")
def target(system: spec.System) -> Target:
    return release(system, "gchostpay", "s", "t")


def test_a_line_is_counted_once_however_often_it_is_read(system: spec.System, target: Target) -> None:
    place = Logging(local=True)
    look = EarlyLook(place, system, RULES)
    assert look.look(target, NOW).lines == (0, 0)
    for count, at in ((3, 1.0), (6, 20.0), (9, 25.0), (12, 300.0)):
        place.failed("t", 3, at)
        assert seen(look.look(target, NOW)) == seen(look.look(target, NOW)) == count
    assert seen(look.look(target, NOW + timedelta(seconds=299))) == 3  # the next share


def test_of_more_lines_than_a_page_holds_the_newest_count(system: spec.System, target: Target) -> None:
    place = Logging(local=True)
    look = EarlyLook(place, system, RULES)
    place.failed("t", MOST, 1.0)
    assert not look.look(target, NOW).cut
    place.failed("t", MOST + 10, 2.0)
    found = look.look(target, NOW)
    assert (found.lines, found.cut) == ((0, 2 * MOST), True)


def test_at_google_the_log_is_read_no_more_often_than_its_quota_bears(system: spec.System, target: Target) -> None:
    place, clock = Logging(), [0.0]
    look = EarlyLook(place, system, RULES, lambda: clock[0])
    for _ in range(60):
        place.failed("t", 1, clock[0])
        look.look(target, NOW)
        clock[0] += 1
    assert place.reads == 2 * 60 / EVERY
    assert seen(look.look(target, NOW)) == len(place.entries)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CallFailed("no", status=403), PERMISSION),
        (CallFailed("no", status=429), "answers 429"),
        (OpsError("nobody"), "does not answer"),
    ],
)
def test_a_log_that_cannot_be_read_is_said_and_changes_no_verdict(
    system: spec.System, target: Target, error: OpsError, told: str
) -> None:
    place = Logging(local=True)
    look = EarlyLook(place, system, RULES)
    place.failed("t", 2, 1.0)
    place.error = error
    for kind in Kind:
        metrics = Verdict(kind=kind, why="as metrics say", gates=(), window=NONE_YET)
        said = sooner(metrics, look.look(target, NOW), RULES)
        assert (said.kind, said.why) == (kind, "as metrics say")
        assert told in row(said)[1]
    place.error = None
    assert seen(look.look(target, NOW)) == 2
