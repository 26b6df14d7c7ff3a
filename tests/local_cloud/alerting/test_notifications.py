"""What channels get: real receivers, files, topics; retries, reminders, and what a killed cloud had not finished."""

import base64
import email
import email.policy
import json
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import (
    NAME,
    Alerts,
    above,
    alerts_at,
    depth_of,
    each,
    limited,
    logged,
    series,
)
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, advance, call, listening
from tests.local_cloud.conftest import Process
from tests.local_cloud.metrics_client import Watcher

QUEUE = f"projects/{PROJECT}/locations/us-central1/queues"


@pytest.fixture(autouse=True)
def at_a_minutes_start(request: pytest.FixtureRequest) -> None:
    """Tests count minutes: the machine's own time must not end one in between."""
    if "watch" in request.fixturenames:
        watch = request.getfixturevalue("watch")
        advance(watch.place, 61 - watch.now() % 60)


@pytest.fixture
def deep(watch: Watcher, request: pytest.FixtureRequest) -> Iterator[str]:
    """A queue with five tasks that stay, named after the test; its policy goes afterwards."""
    name = str(request.node.name)[:60].replace("_", "-").replace("[", "-").replace("]", "")
    queue = watch.queue(name)
    watch.tasks.pause_queue(name=queue)
    watch.send(queue, "http://h.example/", 5)
    yield name
    with alerts_at(watch.place) as alerts:
        for policy in alerts.policies.list_alert_policies(name=NAME):
            alerts.policies.delete_alert_policy(name=policy.name)


def bodies(target: Target, path: str) -> list[dict[str, Any]]:
    return [json.loads(body) for at, _, body in target.seen if at == path]


def empty(watch: Watcher, name: str) -> None:
    watch.tasks.purge_queue(name=f"{QUEUE}/{name}")


def folder(place: Place) -> Path:
    assert place.cloud is not None
    return place.cloud.settings.state


@pins(
    "alerting",
    "Notifications",
    "Webhooks get the payload of version 1.2 when an incident opens and when it closes, variables filled in",
    documented="notification-options: webhooks; doc-variables",
)
def test_a_webhook_is_told_of_both_ends(alerts: Alerts, watch: Watcher, target: Target, deep: str) -> None:
    channel = alerts.hook("webhook_tokenauth", url=f"{target.url}/both?token=t")
    text = "${resource.label.queue_id} ${metric.label.nothing} ${metric.display_name} ${policy.display_name} ${other}"
    documentation = {"content": text, "subject": "[${project}] ${condition.display_name}",
                     "links": [{"display_name": "Book", "url": "http://b/${resource.label.location}"}]}  # fmt: skip
    made = alerts.policy(
        "both ends", depth_of(deep, 4), notification_channels=[channel], documentation=documentation,
        severity="ERROR", user_labels={"team": "pay"},
    )  # fmt: skip
    advance(alerts.place, 60)
    empty(watch, deep)
    advance(alerts.place, 60)
    opened, closed = bodies(target, "/both?token=t")
    assert opened["version"] == "1.2"
    told = opened["incident"]
    assert told["state"] == "open"
    assert told["ended_at"] is None
    assert (told["observed_value"], told["threshold_value"], told["severity"]) == ("5", "4", "Error")
    assert (told["policy_name"], told["condition_name"]) == ("both ends", "above 4")
    assert told["policy_user_labels"] == {"team": "pay"}
    assert told["condition"]["name"] == made.conditions[0].name
    assert told["condition"]["conditionThreshold"]["comparison"] == "COMPARISON_GT"
    assert told["resource"]["labels"]["queue_id"] == deep
    assert told["metric"] == {
        "type": "cloudtasks.googleapis.com/queue/depth",
        "displayName": "Queue depth",
        "labels": {},
    }
    assert (told["scoping_project_id"], told["scoping_project_number"]) == (PROJECT, 123456789012)
    assert told["documentation"] == {
        "content": f"{deep} null Queue depth both ends ${{other}}",
        "mime_type": "text/markdown",
        "subject": f"[{PROJECT}] above 4",
        "links": [{"displayName": "Book", "url": "http://b/us-central1"}],
    }
    assert told["summary"].endswith("is above the threshold of 4.000 with a value of 5.000.")
    assert call(alerts.place, "GET", told["url"].removeprefix(alerts.place.rest))["state"] == "CLOSED"
    ended = closed["incident"]
    assert (ended["incident_id"], ended["state"]) == (told["incident_id"], "closed")
    assert ended["ended_at"] == told["started_at"] + 60
    assert ended["summary"].endswith("returned to normal with a value of 0.000.")


@pins("alerting", "Notifications", "Basic authentication of webhooks", documented="notification-options: webhooks")
def test_a_webhook_with_basic_authentication_shows_it(
    alerts: Alerts, watch: Watcher, target: Target, deep: str
) -> None:
    channel = alerts.hook("webhook_basicauth", url=f"{target.url}/basic", username="ann", password="s3cret-word")
    alerts.policy("basic", depth_of(deep, 4), notification_channels=[channel])
    advance(alerts.place, 60)
    [headers] = [headers for path, headers, _ in target.seen if path == "/basic"]
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"ann:s3cret-word").decode()


@pins(
    "alerting",
    "Notifications",
    "A receiver that answers 5xx or not at all is tried again after 10, 20, 40 and 80 s, one that answers 4xx is not",
    ours="Google's times are not public",
)
@pytest.mark.parametrize(("answers", "times"), [([503, 500, 200], 3), ([404], 1), ([500] * 9, 5)])
def test_a_failed_delivery_is_tried_again_a_few_times(
    alerts: Alerts, target: Target, deep: str, answers: list[int], times: int
) -> None:
    path = f"/again-{times}"
    channel = alerts.hook("webhook_tokenauth", url=f"{target.url}{path}")
    alerts.policy("again", depth_of(deep, 4), notification_channels=[channel])
    target.script = list(answers)
    advance(alerts.place, 600)
    target.script = []
    assert len(bodies(target, path)) == times
    body = {"resourceNames": [NAME], "filter": f'jsonPayload.channel="{channel}"'}
    last = call(alerts.place, "POST", "/v2/entries:list", body)["entries"][-1]
    assert last["severity"] == ("INFO" if answers[-1] == 200 else "ERROR")


@pins("alerting", "Notifications", "Mail is a file of RFC 5322 in the state's folder `mail`", ours="nothing is sent")
def test_a_mail_lies_in_the_states_folder(alerts: Alerts, watch: Watcher, deep: str) -> None:
    channel = alerts.hook("email", email_address="ops@example.com")
    alerts.policy("mailed", depth_of(deep, 4), notification_channels=[channel], severity="CRITICAL")
    advance(alerts.place, 60)
    [path] = (folder(alerts.place) / "mail").glob("*-open.eml")
    made = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert made["To"] == "ops@example.com"
    assert made["Subject"].startswith(f"[ALERT - Critical] above 4 on {PROJECT} Cloud Tasks Queue labels")
    assert "is above the threshold of 4.000" in made.get_content()


@pins(
    "alerting",
    "Notifications",
    "Slack's and PagerDuty's own forms, to --slack-url and --pagerduty-url, or as lines of a file",
    documented="Slack: incoming webhooks; PagerDuty: Events API v2",
    ours="the settings and the files",
)
def test_slack_and_pagerduty_are_lines_of_files_without_a_setting(alerts: Alerts, watch: Watcher, deep: str) -> None:
    channels = [alerts.hook("slack", channel_name="#ops"), alerts.hook("pagerduty", service_key="k" * 20)]
    alerts.policy("chat", depth_of(deep, 4), notification_channels=channels, severity="WARNING")
    advance(alerts.place, 60)
    empty(watch, deep)
    advance(alerts.place, 60)
    lines = {
        name: [json.loads(line) for line in (folder(alerts.place) / "notifications" / f"{name}.jsonl").open()]
        for name in ("slack", "pagerduty")
    }
    opened, closed = lines["slack"]
    assert (opened["channel"], opened["text"]) == ("#ops", "Alert firing: chat")
    assert opened["attachments"][0]["color"] == "#F9AB00"
    assert closed["text"] == "Alert recovered: chat"
    trigger, resolve = lines["pagerduty"]
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert trigger["payload"]["severity"] == "warning"
    assert trigger["routing_key"] == ""


@pins(
    "alerting",
    "Notifications",
    "A Pub/Sub channel publishes the payload as Monitoring's own account, which must be a publisher of the topic",
    documented="notification-options: Pub/Sub",
)
@pytest.mark.parametrize("granted", [True, False])
def test_a_topic_gets_the_payload_where_the_account_may(
    alerts: Alerts, watch: Watcher, deep: str, *, granted: bool
) -> None:
    topic, pulled = f"{NAME}/topics/alerts-{granted}", f"{NAME}/subscriptions/alerts-{granted}"
    call(alerts.place, "PUT", f"/v1/{topic}")
    call(alerts.place, "PUT", f"/v1/{pulled}", {"topic": topic})
    if granted:
        member = "serviceAccount:service-123456789012@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
        policy = {"bindings": [{"role": "roles/pubsub.publisher", "members": [member]}]}
        call(alerts.place, "POST", f"/v1/{topic}:setIamPolicy", {"policy": policy})
    alerts.policy("topic", depth_of(deep, 4), notification_channels=[alerts.hook("pubsub", topic=topic)])
    advance(alerts.place, 60)
    found = call(alerts.place, "POST", f"/v1/{pulled}:pull", {"maxMessages": 10, "returnImmediately": True})
    texts = [json.loads(base64.b64decode(one["message"]["data"])) for one in found.get("receivedMessages", [])]
    assert [one["incident"]["state"] for one in texts] == (["open"] if granted else [])


@pins("alerting", "Notifications", "A disabled channel gets nothing", documented="NotificationChannel.enabled")
def test_a_disabled_channel_gets_nothing(alerts: Alerts, watch: Watcher, target: Target, deep: str) -> None:
    channel = alerts.hook("webhook_tokenauth", url=f"{target.url}/off")
    read = alerts.channels.get_notification_channel(name=channel)
    read.enabled = False
    alerts.channels.update_notification_channel(notification_channel=read)
    alerts.policy("off", depth_of(deep, 4), notification_channels=[channel])
    advance(alerts.place, 60)
    assert alerts.incidents("off", "open")
    assert bodies(target, "/off") == []


@pins(
    "alerting",
    "Notifications",
    "Prompts say whether the end is told; renotify_interval repeats what is open",
    documented="AlertStrategy.notification_prompts, notification_channel_strategy",
)
def test_a_channel_is_reminded_and_not_told_of_the_end(
    alerts: Alerts, watch: Watcher, target: Target, deep: str
) -> None:
    channel = alerts.hook("webhook_tokenauth", url=f"{target.url}/remind")
    again = [{"notification_channel_names": [channel], "renotify_interval": {"seconds": 1800}}]
    strategy = {"notification_prompts": ["OPENED"], "notification_channel_strategy": again}
    alerts.policy("remind", depth_of(deep, 4), notification_channels=[channel], alert_strategy=strategy)
    advance(alerts.place, 60)
    assert len(bodies(target, "/remind")) == 1
    advance(alerts.place, 2 * 3600)
    assert len(bodies(target, "/remind")) == 5
    empty(watch, deep)
    advance(alerts.place, 3600)
    assert {one["incident"]["state"] for one in bodies(target, "/remind")} == {"open"}
    assert len(bodies(target, "/remind")) == 5


@pins(
    "alerting",
    "Notifications",
    "Log matches notify once a period for each combination of labels, and 20 times a day at most",
    documented="AlertStrategy.notification_rate_limit; quotas of alerting",
)
def test_log_matches_are_limited(alerts: Alerts, watch: Watcher, target: Target) -> None:
    channel = alerts.hook("webhook_tokenauth", url=f"{target.url}/limited")
    condition = logged('logName:"/logs/limited"', who="EXTRACT(labels.who)")
    made = alerts.policy("limited", condition, notification_channels=[channel], alert_strategy=limited(600))

    def wrote(who: str, times: int = 1) -> int:
        entry = {"logName": f"{NAME}/logs/limited", "textPayload": "x", "resource": {"type": "global"}}
        call(alerts.place, "POST", "/v2/entries:write", {"entries": [entry | {"labels": {"who": who}}] * times})
        advance(alerts.place, 1)
        return len(bodies(target, "/limited"))

    assert wrote("ann", 5) == 1
    assert wrote("bob") == 2
    advance(alerts.place, 500)
    assert wrote("ann") == 2
    advance(alerts.place, 120)
    assert wrote("ann") == 3
    for number in range(30):
        wrote(f"visitor-{number}")
    assert len(bodies(target, "/limited")) == 20
    advance(alerts.place, 86_400)
    assert wrote("cat") == 21
    alerts.policies.delete_alert_policy(name=made.name)


def at(incident: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(incident["opened"])


@pins("alerting", "Incidents", "What can be read late is looked at late: --metric-lag", documented="ingest delay")
@pins("alerting", "Incidents", "A killed cloud keeps its open incidents and does not notify of them again", ours=True)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_cloud_goes_on_and_does_not_notify_twice(
    start: Callable[..., Process], target: Target, how: signal.Signals
) -> None:
    target.seen.clear()
    target.status = 200
    asked = ("--metric-lag", "90", "--slack-url", f"{target.url}/slack")
    process = start("cloud", *asked)
    place = Place(process.ports)
    with alerts_at(place) as alerts:
        tasks = place.client("rest")
        queue = tasks.create_queue(parent=QUEUE.rpartition("/")[0], queue={"name": f"{QUEUE}/kept"}).name
        tasks.pause_queue(name=queue)
        for _ in range(5):
            tasks.create_task(parent=queue, task={"http_request": {"url": "http://h.example/"}})
        hooks = [alerts.hook("webhook_tokenauth", url=f"{target.url}/kept"), alerts.hook("slack", channel_name="#ops")]
        alerts.policy("kept", depth_of("kept", 4), notification_channels=hooks)
        alerts.policy("window", depth_of("kept", 4, 1200), notification_channels=hooks[:1])
        advance(place, 120)
        assert alerts.firing() == set()
        advance(place, 600)
        assert alerts.firing() == {"kept"}
    [opened] = bodies(target, "/kept")
    assert [one["text"] for one in bodies(target, "/slack")] == ["Alert firing: kept"]
    process.stop(how)
    again = start("cloud", *asked)
    place = Place(again.ports)
    with alerts_at(place) as alerts:
        [one] = alerts.incidents("kept")
        assert (one["state"], one["id"]) == ("open", opened["incident"]["incident_id"])
        advance(place, 1500)
        assert alerts.firing() == {"kept", "window"}
        assert len(alerts.incidents("kept")) == 1
        [late] = alerts.incidents("window")
        between = (at(late) - at(one)).total_seconds()
        # What was measured in the last second before a kill is lost, and the retest window begins anew.
        assert between == 1140 if how == signal.SIGTERM else between >= 1140
        told = [one["incident"]["policy_name"] for one in bodies(target, "/kept")]
        assert told == ["kept", "window"]
        place.client("rest").purge_queue(name=queue)
        advance(place, 240)
        assert alerts.firing() == set()
    assert [one["incident"]["state"] for one in bodies(target, "/kept")][-2:] == ["closed", "closed"]


@pins(
    "alerting",
    "Notifications",
    "A notification that a killed cloud had not delivered is delivered after its start",
    ours=True,
)
def test_an_undelivered_notification_survives_a_kill(start: Callable[..., Process]) -> None:
    with listening() as target:
        target.status = 503
        process = start("cloud")
        place = Place(process.ports)
        with alerts_at(place) as alerts:
            hook = alerts.hook("webhook_tokenauth", url=f"{target.url}/owed")
            condition = logged('logName:"/logs/owed"')
            alerts.policy("owed", condition, notification_channels=[hook], alert_strategy=limited())
            entry = {"logName": f"{NAME}/logs/owed", "textPayload": "x", "resource": {"type": "global"}}
            call(place, "POST", "/v2/entries:write", {"entries": [entry]})
            target.wait(1)
        process.stop(signal.SIGKILL)
        target.status = 200
        before = len(bodies(target, "/owed"))
        place = Place(start("cloud").ports)
        advance(place, 5)
        assert len(bodies(target, "/owed")) == before + 1
        advance(place, 600)
        assert len(bodies(target, "/owed")) == before + 1


def test_a_move_of_a_day_with_fifty_policies_stops_only_where_something_changes(
    alerts: Alerts, watch: Watcher, deep: str
) -> None:
    text = series("cloudtasks.googleapis.com/queue/depth", "cloud_tasks_queue", queue_id=deep)
    for number in range(50):
        alerts.policy(f"many {number}", above(text, 4 if number % 2 else 100, each("MEAN", period=300), seconds=600))
    advance(alerts.place, 900)
    assert len(alerts.firing()) == 25
    moved = call(alerts.place, "POST", "/_sluice/clock:advance", {"seconds": 86_400})
    assert moved["fired"] < 50
    assert len(alerts.firing()) == 25
