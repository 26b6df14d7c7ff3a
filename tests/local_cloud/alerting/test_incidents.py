"""When incidents open and close, over minutes of a moved clock, and how conditions combine. One cloud for all tests."""

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import (
    NAME,
    Alerts,
    above,
    absent,
    depth_of,
    each,
    limited,
    logged,
    series,
)
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import account, advance, bearer, call
from tests.local_cloud.metrics_client import Watcher

MISSING = ("EVALUATION_MISSING_DATA_INACTIVE", "EVALUATION_MISSING_DATA_ACTIVE", "EVALUATION_MISSING_DATA_NO_OP")
PAUSED = {"state": "PAUSED"}


@pytest.fixture(autouse=True)
def at_a_minutes_start(watch: Watcher) -> None:
    """Tests count minutes: the machine's own time must not end one in between."""
    advance(watch.place, 61 - watch.now() % 60)


def paused(watch: Watcher, name: str, tasks: int) -> str:
    """A queue that holds its tasks."""
    queue = watch.queue(name)
    watch.tasks.pause_queue(name=queue)
    watch.send(queue, "http://h.example/", tasks)
    return queue


def gauge(name: str) -> str:
    return series(f"custom.googleapis.com/{name}", "global")


def write(watch: Watcher, name: str, *values: float) -> None:
    """A value a minute."""
    for value in values:
        watch.write(f"custom.googleapis.com/{name}", float(value))
        advance(watch.place, 60)


@pins(
    "alerting",
    "Incidents",
    "An incident opens when all minutes of the duration violate, and closes at the first that does not",
    documented="concepts-indepth: five consecutive minutes; the retest window is reset",
)
def test_an_incident_opens_after_the_duration_and_closes_when_it_is_over(alerts: Alerts, watch: Watcher) -> None:
    queue = paused(watch, "opens", 5)
    made = alerts.policy("opens", depth_of("opens", 4, 300))
    advance(alerts.place, 240)
    assert alerts.incidents("opens") == []
    advance(alerts.place, 60)
    [one] = alerts.incidents("opens", "open")
    assert (one["value"], one["threshold"]) == ("5", "4")
    advance(alerts.place, 3600)
    assert [i["id"] for i in alerts.incidents("opens")] == [one["id"]]
    watch.tasks.purge_queue(name=queue)
    advance(alerts.place, 60)
    [ended] = alerts.incidents("opens")
    assert (ended["state"], ended["why"], ended["value"]) == ("closed", "the condition is no longer met", "0")
    watch.send(queue, "http://h.example/", 5)
    advance(alerts.place, 300)
    assert [i["state"] for i in alerts.incidents("opens")] == ["closed", "open"]
    alerts.policies.delete_alert_policy(name=made.name)


@pins(
    "alerting",
    "Incidents",
    "One incident for each series that violates; the trigger says how many, or what share of them, must",
    documented="Trigger; concepts-indepth: number of incidents",
)
@pytest.mark.parametrize(
    ("trigger", "fires"),
    [({}, True), ({"count": 2}, True), ({"count": 3}, False), ({"percent": 60.0}, True), ({"percent": 70.0}, False)],
)
def test_the_trigger_asks_for_enough_series(
    alerts: Alerts, watch: Watcher, trigger: dict[str, Any], fires: bool
) -> None:
    name = f"t{next(iter(trigger.values()), 0):g}"
    for tasks in (0, 5, 6):
        paused(watch, f"{name}-{tasks}", tasks)
    text = series("cloudtasks.googleapis.com/queue/depth", "cloud_tasks_queue", queue_id=f'starts_with("{name}-")')
    made = alerts.policy(name, above(text, 4, each("MAX"), trigger=trigger))
    advance(alerts.place, 120)
    found = {one["resource"]["labels"]["queue_id"] for one in alerts.incidents(name)}
    assert found == ({f"{name}-5", f"{name}-6"} if fires else set())
    alerts.policies.delete_alert_policy(name=made.name)


@pins(
    "alerting",
    "Incidents",
    "Combiners: any condition, all of them, or all of them on the same resource",
    documented="ConditionCombinerType",
)
def test_conditions_combine_as_the_policy_says(alerts: Alerts, watch: Watcher) -> None:
    for name in ("both-a", "both-b"):
        paused(watch, name, 5)
    paused(watch, "both-c", 0)
    a, b, c = (depth_of(f"both-{letter}", 4) for letter in "abc")
    twice = [a, depth_of("both-a", 3)]
    for name, combiner, conditions in (
        ("or", "OR", [a, c]),
        ("and met", "AND", [a, b]),
        ("and not met", "AND", [a, c]),
        ("same", "AND_WITH_MATCHING_RESOURCE", twice),
        ("not the same", "AND_WITH_MATCHING_RESOURCE", [a, b]),
    ):
        alerts.policy(name, *conditions, combiner=combiner)
    advance(alerts.place, 120)
    names = ("or", "and met", "and not met", "same", "not the same")
    assert {name: len(alerts.incidents(name)) for name in names} == {
        "or": 1, "and met": 2, "and not met": 0, "same": 2, "not the same": 0,
    }  # fmt: skip
    watch.tasks.purge_queue(name=f"projects/{PROJECT}/locations/us-central1/queues/both-b")
    advance(alerts.place, 60)
    assert alerts.incidents("and met", "open") == []
    forget(alerts, *names)


def forget(alerts: Alerts, *names: str) -> None:
    for policy in alerts.policies.list_alert_policies(name=NAME):
        if policy.display_name in names:
            alerts.policies.delete_alert_policy(name=policy.name)


@pins(
    "alerting",
    "Incidents",
    "Missing data: by default nothing changes, INACTIVE closes, ACTIVE violates",
    documented="concepts-indepth: partial metric data; EvaluationMissingData",
)
def test_missing_data_does_what_the_condition_says(alerts: Alerts, watch: Watcher) -> None:
    write(watch, "missing", 1)
    for missing in MISSING:
        condition = above(gauge("missing"), 5, each("MEAN"), seconds=180, evaluation_missing_data=missing)
        alerts.policy(missing, condition)
    write(watch, "missing", 9, 9, 9)
    assert alerts.firing() >= set(MISSING)
    advance(alerts.place, 300)
    assert alerts.firing() & set(MISSING) == set(MISSING[1:])
    write(watch, "missing", 1)
    assert alerts.firing() & set(MISSING) == set()
    advance(alerts.place, 120)
    assert alerts.firing() & set(MISSING) == set()
    advance(alerts.place, 120)
    assert alerts.firing() & set(MISSING) == {"EVALUATION_MISSING_DATA_ACTIVE"}
    forget(alerts, *MISSING)


@pins(
    "alerting",
    "Incidents",
    "A silent series' incident closes after auto_close (default 7 days), counted from 15 minutes after its data",
    documented="AlertStrategy.auto_close; concepts-indepth: the auto-close timer",
)
@pytest.mark.parametrize(("given", "seconds"), [({"auto_close": {"seconds": 1800}}, 1800), ({}, 604_800)])
def test_a_silent_incident_closes_by_itself(
    alerts: Alerts, watch: Watcher, given: dict[str, Any], seconds: int
) -> None:
    name = f"silent{seconds}"
    write(watch, name, 1)
    alerts.policy(name, above(gauge(name), 5, each("MEAN")), alert_strategy=given)
    write(watch, name, 9)
    advance(alerts.place, seconds + 900 - 120)
    assert [i["state"] for i in alerts.incidents(name)] == ["open"]
    advance(alerts.place, 180)
    assert [i["state"] for i in alerts.incidents(name)] == ["closed"]
    advance(alerts.place, 86_400)
    assert len(alerts.incidents(name)) == 1
    write(watch, name, 9)
    assert [i["state"] for i in alerts.incidents(name)] == ["closed", "open"]
    forget(alerts, name)


@pins(
    "alerting",
    "Incidents",
    "Absence: opens when a series that was seen has been silent for the duration, closes when it reports again",
    documented="MetricAbsence; at least one successful measurement is needed",
)
def test_absence_needs_a_series_that_was_there(alerts: Alerts, watch: Watcher) -> None:
    write(watch, "beat", 1)
    advance(alerts.place, 600)
    alerts.policy("beat", absent(gauge("beat"), 300, each("MEAN")))
    advance(alerts.place, 3600)
    assert alerts.incidents("beat") == []
    write(watch, "beat", 1)
    advance(alerts.place, 240)
    assert alerts.incidents("beat") == []
    advance(alerts.place, 60)
    [one] = alerts.incidents("beat", "open")
    assert "has not been seen for over 5 minutes" in one["summary"]
    write(watch, "beat", 1)
    assert [i["state"] for i in alerts.incidents("beat")] == ["closed"]
    forget(alerts, "beat")


@pins(
    "alerting", "Conditions", "A forecast is a straight line through twice the horizon", ours="Google's is not public"
)
def test_a_queue_that_fills_up_is_foreseen(alerts: Alerts, watch: Watcher) -> None:
    queue = paused(watch, "fills", 0)
    hour = {"forecast_horizon": {"seconds": 3600}}
    alerts.policy("within the hour", depth_of("fills", 30, forecast_options=hour))
    alerts.policy("later", depth_of("fills", 60, forecast_options=hour))
    for _ in range(12):
        advance(alerts.place, 600)
        watch.send(queue, "http://h.example/", 2)
    advance(alerts.place, 600)
    assert "within the hour" in alerts.firing()
    assert "later" not in alerts.fired()
    forget(alerts, "within the hour", "later")


@pins(
    "alerting", "Incidents", "Incidents close when their policy is disabled, changed or deleted", ours="not documented"
)
def test_incidents_end_with_their_policy(alerts: Alerts, watch: Watcher) -> None:
    paused(watch, "ends", 5)
    made = {name: alerts.policy(name, depth_of("ends", 4)) for name in ("disabled", "changed", "deleted", "renamed")}
    advance(alerts.place, 60)
    assert alerts.firing() >= set(made)
    made["disabled"].enabled = False
    made["changed"].conditions[0].condition_threshold.threshold_value = 100
    made["renamed"].conditions[0].display_name = "deep"
    for name in ("disabled", "changed", "renamed"):
        alerts.policies.update_alert_policy(alert_policy=made[name])
    alerts.policies.delete_alert_policy(name=made["deleted"].name)
    assert alerts.firing() & set(made) == {"renamed"}
    advance(alerts.place, 120)
    assert alerts.firing() & set(made) == {"renamed"}
    forget(alerts, *made)


@pins("alerting", "Incidents", "A snooze keeps a policy from opening incidents", documented="snooze.proto")
def test_a_snoozed_policy_opens_nothing_until_it_ends(alerts: Alerts, watch: Watcher) -> None:
    paused(watch, "sleepy", 5)
    made = alerts.policy("sleepy", depth_of("sleepy", 4))
    ends = datetime.fromtimestamp(watch.now() + 1800, UTC).isoformat()
    starts = datetime.fromtimestamp(watch.now(), UTC).isoformat()
    snooze = {"displayName": "night", "criteria": {"policies": [made.name]}}
    call(alerts.place, "POST", f"/v3/{NAME}/snoozes", snooze | {"interval": {"startTime": starts, "endTime": ends}})
    advance(alerts.place, 1500)
    assert alerts.incidents("sleepy") == []
    advance(alerts.place, 420)
    assert len(alerts.incidents("sleepy", "open")) == 1
    forget(alerts, "sleepy")


@pins(
    "alerting",
    "Incidents",
    "A log match opens one incident for each combination of extracted labels, and closes after auto_close",
    documented="log-based alerts: extracted labels, incident autoclose duration",
)
def test_log_matches_open_an_incident_a_combination(alerts: Alerts) -> None:
    strategy = limited(auto_close={"seconds": 1800})
    condition = logged('logName:"/logs/shop" AND severity>=ERROR', who="EXTRACT(labels.who)")
    alerts.policy("matched", condition, alert_strategy=strategy)
    for who in ("ann", "bob", "ann"):
        write_log(alerts, who)
    assert [one["labels"] for one in alerts.incidents("matched")] == [{"who": "ann"}, {"who": "bob"}]
    advance(alerts.place, 1200)
    write_log(alerts, "bob")
    advance(alerts.place, 900)
    assert [one["labels"] for one in alerts.incidents("matched", "open")] == [{"who": "bob"}]
    forget(alerts, "matched")


def write_log(alerts: Alerts, who: str) -> None:
    entry = {
        "logName": f"projects/{PROJECT}/logs/shop", "severity": "ERROR", "textPayload": "no", "labels": {"who": who},
        "resource": {"type": "global"},
    }  # fmt: skip
    call(alerts.place, "POST", "/v2/entries:write", {"entries": [entry]})


@pins(
    "alerting",
    "Incidents",
    "projects.alerts lists and gets incidents, with filter, order and pages",
    documented="REST reference: projects.alerts",
)
def test_alerts_are_listed_as_googles_rest_says(alerts: Alerts, watch: Watcher) -> None:
    for name in ("seen-a", "seen-b"):
        paused(watch, name, 5)
        alerts.policy(name, depth_of(name, 4), severity="WARNING", user_labels={"team": "pay"})
        advance(alerts.place, 60)
    path = f"/v3/{NAME}/alerts"
    asked = {
        "filter": 'state="OPEN" AND policy.display_name=starts_with("seen-")',
        "orderBy": "openTime",
        "pageSize": 1,
    }
    first = call(alerts.place, "GET", path, params=asked)
    assert first["totalSize"] == 2
    [one] = first["alerts"]
    assert one["policy"]["displayName"] == "seen-a"
    assert one["policy"]["severity"] == "WARNING"
    assert one["policy"]["userLabels"] == {"team": "pay"}
    assert one["metric"]["type"] == "cloudtasks.googleapis.com/queue/depth"
    [other] = call(alerts.place, "GET", path, params=asked | {"pageToken": first["nextPageToken"]})["alerts"]
    assert other["policy"]["displayName"] == "seen-b"
    assert call(alerts.place, "GET", f"/v3/{one['name']}") == one
    forget(alerts, "seen-a", "seen-b")
    closed = call(alerts.place, "GET", f"/v3/{one['name']}")
    assert closed["state"] == "CLOSED"
    assert closed["closeTime"] > closed["openTime"]


@pins("alerting", "Incidents", "What Monitoring writes of incidents into the logs", observed="ViolationOpenEventv1")
def test_incidents_stand_in_the_logs(alerts: Alerts, watch: Watcher) -> None:
    queue = paused(watch, "told", 5)
    alerts.policy("told", depth_of("told", 4))
    advance(alerts.place, 60)
    watch.tasks.purge_queue(name=queue)
    advance(alerts.place, 60)
    body = {"resourceNames": [NAME], "filter": 'labels.policy_display_name="told"', "orderBy": "timestamp asc"}
    found = call(alerts.place, "POST", "/v2/entries:list", body)["entries"]
    logs = [entry["logName"].rpartition("%2F")[2] for entry in found]
    assert logs == ["ViolationOpenEventv1", "ViolationAutoResolveEventv1"]
    assert "is above the threshold" in found[0]["labels"]["terse_message"]
    forget(alerts, "told")


@pins("alerting", "Incidents", "Reading alerts asks for monitoring.alerts.list and .get", documented="access control")
def test_alerts_are_read_by_who_may(alerts: Alerts) -> None:
    email = account(alerts.place, "alert-reader")
    url = f"http://127.0.0.1:{alerts.place.ports['service_rest']}/v3/{NAME}/alerts"
    headers = bearer(alerts.place, email)
    assert requests.get(url, headers=headers, timeout=30).status_code == 403
    binding = {"role": "roles/monitoring.alertViewer", "members": [f"serviceAccount:{email}"]}
    call(alerts.place, "POST", f"/v1/{NAME}:setIamPolicy", {"policy": {"bindings": [binding]}})
    assert requests.get(url, headers=headers, timeout=30).status_code == 200
    assert requests.get(f"{url}/0.none", headers=headers, timeout=30).status_code == 404


def test_a_policy_that_cannot_be_evaluated_any_more_stops_nothing(alerts: Alerts, watch: Watcher) -> None:
    write(watch, "gone", 9)
    alerts.policy("gone", above(gauge("gone"), 5, each("MEAN")))
    write(watch, "gone", 9)
    assert "gone" in alerts.firing()
    call(alerts.place, "DELETE", f"/v3/{NAME}/metricDescriptors/custom.googleapis.com/gone")
    advance(alerts.place, 7 * 86_400 + 1800)
    assert "gone" not in alerts.firing()
    forget(alerts, "gone")


@pins(
    "alerting",
    "Incidents",
    "A policy has 1000 open incidents at most, and 1000 that ended are kept",
    documented="quotas",
)
def test_incidents_are_bounded(alerts: Alerts) -> None:
    condition = logged('logName:"/logs/flood"', who="EXTRACT(labels.who)")
    alerts.policy("flood", condition, alert_strategy=limited(auto_close={"seconds": 1800}))

    def flood(begin: int, count: int) -> None:
        made = {"logName": f"{NAME}/logs/flood", "textPayload": "x", "resource": {"type": "global"}}
        entries = [made | {"labels": {"who": f"v{number}"}} for number in range(begin, begin + count)]
        call(alerts.place, "POST", "/v2/entries:write", {"entries": entries})

    flood(0, 1100)
    assert len(alerts.incidents("flood", "open")) == 1000
    advance(alerts.place, 2400)
    assert alerts.incidents("flood", "open") == []
    flood(2000, 100)
    advance(alerts.place, 2400)
    assert len(alerts.incidents()) == 1000
    forget(alerts, "flood")
