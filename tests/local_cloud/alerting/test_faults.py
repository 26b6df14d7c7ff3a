"""Faults are caused in the running system, and the policies that watch for them fire; with a wrong number they do not.

One cloud, one story: queues whose target works, a service with traffic, a subscription that is read; then all of it
breaks. Of every kind of policy there is the right one and some with one thing changed, and each of these is a test.
"""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import DEPTH, Alerts, above, absent, each, limited, logged, series
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, advance, call
from tests.local_cloud.metrics_client import Watcher
from tests.local_cloud.run_client import Runner, http

TASKS, RUN, PUBSUB = "cloudtasks.googleapis.com", "run.googleapis.com", "pubsub.googleapis.com"
QUEUE, REVISION = "cloud_tasks_queue", "cloud_run_revision"
BY_SERVICE = ("resource.label.service_name",)


def depth(value: float = 3, seconds: int = 300, queue: str = "deep") -> dict[str, Any]:
    return above(series(DEPTH, QUEUE, queue_id=queue), value, each("MAX"), seconds=seconds)


def ratio(metric: str, resource: str, bad: dict[str, str], value: float, seconds: int, **labels: str) -> dict[str, Any]:
    total = each("DELTA", "SUM", 300)
    below = {"denominator_filter": series(metric, resource, **labels), "denominator_aggregations": [total]}
    return above(series(metric, resource, **labels, **bad), value, total, seconds=seconds, **below)


def attempts(value: float = 0.5, seconds: int = 120, code: str = "one_of('internal', 'unavailable')") -> dict[str, Any]:
    metric = f"{TASKS}/queue/task_attempt_count"
    return ratio(metric, QUEUE, {"metric_response_code": code}, value, seconds, queue_id="deep")


def errors(value: float = 0.2, seconds: int = 120, family: str = "5xx") -> dict[str, Any]:
    metric = f"{RUN}/request_count"
    return ratio(metric, REVISION, {"metric_response_code_class": family}, value, seconds, service_name="shop")


def latency(value: float = 150, seconds: int = 60, service: str = "shop") -> dict[str, Any]:
    text = series(f"{RUN}/request_latencies", REVISION, service_name=service)
    return above(text, value, each("DELTA", "PERCENTILE_95", 60, BY_SERVICE), seconds=seconds)


def silence(seconds: int = 600, service: str = "feed") -> dict[str, Any]:
    text = series(f"{RUN}/request_count", REVISION, service_name=service)
    return absent(text, seconds, each("DELTA", "SUM", 60, BY_SERVICE))


def line(word: str = "wallet is empty", least: str = "ERROR") -> dict[str, Any]:
    return logged(
        f'resource.type="{REVISION}" AND severity>={least} AND jsonPayload.message:"{word}"',
        service="EXTRACT(resource.labels.service_name)",
        wallet='REGEXP_EXTRACT(jsonPayload.message, "of ([a-z]+)")',
    )


def counted(value: float = 2, seconds: int = 0, metric: str = "expired") -> dict[str, Any]:
    text = series(f"logging.googleapis.com/user/{metric}", REVISION)
    return above(text, value, each("DELTA", "SUM", 300), seconds=seconds)


def backlog(value: float = 5, seconds: int = 180, subscription: str = "worker") -> dict[str, Any]:
    text = series(
        f"{PUBSUB}/subscription/num_undelivered_messages", "pubsub_subscription", subscription_id=subscription
    )
    return above(text, value, each("MAX"), seconds=seconds)


@dataclass(frozen=True)
class Case:
    """A policy, and whether the faults make it fire."""

    condition: dict[str, Any]
    fires: bool


CASES = {
    "queue depth": Case(depth(), True),
    "queue depth, threshold too high": Case(depth(value=50), False),
    "queue depth, duration too long": Case(depth(seconds=3600), False),
    "queue depth, another queue": Case(depth(queue="calm"), False),
    "failed attempts": Case(attempts(), True),
    "failed attempts, threshold too high": Case(attempts(value=1.5), False),
    "failed attempts, duration too long": Case(attempts(seconds=3600), False),
    "failed attempts, another code": Case(attempts(code="not_found"), False),
    "server errors": Case(errors(), True),
    "server errors, threshold too high": Case(errors(value=0.9), False),
    "server errors, duration too long": Case(errors(seconds=3600), False),
    "server errors, another class": Case(errors(family="4xx"), False),
    "latency": Case(latency(), True),
    "latency, threshold too high": Case(latency(value=60_000), False),
    "latency, duration too long": Case(latency(seconds=3600), False),
    "latency, another service": Case(latency(service="feed"), False),
    "absence": Case(silence(), True),
    "absence, duration too long": Case(silence(seconds=7200), False),
    "absence, a service that still reports": Case(silence(service="shop"), False),
    "absence, a service that never was": Case(silence(service="nobody"), False),
    "log line": Case(line(), True),
    "log line, another word": Case(line(word="wallet is full"), False),
    "log line, a higher severity": Case(line(least="CRITICAL"), False),
    "log-based metric": Case(counted(), True),
    "log-based metric, threshold too high": Case(counted(value=20), False),
    "log-based metric, duration too long": Case(counted(seconds=3600), False),
    "log-based metric, another metric": Case(counted(metric="refunded"), False),
    "backlog": Case(backlog(), True),
    "backlog, threshold too high": Case(backlog(value=50), False),
    "backlog, duration too long": Case(backlog(seconds=3600), False),
    "backlog, another subscription": Case(backlog(subscription="archive"), False),
}


class System:
    """Queues, services and a subscription with traffic."""

    def __init__(self, place: Place, watch: Watcher, run: Runner, target: Target) -> None:
        self.place, self.watch, self.target = place, watch, target
        retries = {"min_backoff": {"seconds": 60}, "max_backoff": {"seconds": 60}, "max_attempts": -1}
        self.deep, self.calm = (watch.queue(name, retry_config=retries) for name in ("deep", "calm"))
        self.shop, self.feed = run.create("shop").uri, run.create("feed").uri
        for name in ("worker", "archive"):
            call(place, "PUT", f"/v1/projects/{PROJECT}/topics/{name}")
            body = {"topic": f"projects/{PROJECT}/topics/{name}"}
            call(place, "PUT", f"/v1/projects/{PROJECT}/subscriptions/{name}", body)
        for name, word in (("expired", "token expired"), ("refunded", "refunded")):
            text = f'resource.type="{REVISION}" AND jsonPayload.message:"{word}"'
            metric = {"name": name, "filter": text, "metricDescriptor": {"metricKind": "DELTA", "valueType": "INT64"}}
            call(place, "POST", f"/v2/projects/{PROJECT}/metrics", metric)

    def minute(self, *, broken: bool) -> None:
        """A minute's traffic; `broken` makes it all go wrong."""
        self.target.status = 500 if broken else 200
        for queue in (self.deep, self.calm) if not broken else (self.deep,):
            self.watch.send(queue, self.target.url, 2)
        for path in ("/needs-header", "/slow") if broken else ("/", "/"):
            http(f"{self.shop}{path}", method="POST", body=b"0.2")
        if not broken:
            http(f"{self.feed}/")
        else:
            self.say("ERROR", "wallet is empty of ether")
            self.say("INFO", "token expired")
        self.publish("worker", 3 if broken else 1)
        if not broken:
            self.drain("worker")
        advance(self.place, 60)

    def say(self, severity: str, text: str) -> None:
        body = f'{{"severity": "{severity}", "message": "{text}", "unique_id": "U1"}}'.encode()
        http(f"{self.shop}/say", method="POST", body=body)

    def publish(self, topic: str, count: int) -> None:
        messages = [{"data": base64.b64encode(b"x").decode()} for _ in range(count)]
        call(self.place, "POST", f"/v1/projects/{PROJECT}/topics/{topic}:publish", {"messages": messages})

    def drain(self, subscription: str) -> None:
        path = f"/v1/projects/{PROJECT}/subscriptions/{subscription}"
        found = call(self.place, "POST", f"{path}:pull", {"maxMessages": 100}).get("receivedMessages", [])
        if found:
            call(self.place, "POST", f"{path}:acknowledge", {"ackIds": [one["ackId"] for one in found]})


@dataclass
class Story:
    """What fired while all was well, and when it was not."""

    before: set[str]
    after: set[str]
    incidents: list[dict[str, Any]]


@pytest.fixture(scope="module")
def story(place: Place, watch: Watcher, run: Runner, target: Target, alerts: Alerts) -> Story:
    system = System(place, watch, run, target)
    for name, case in CASES.items():
        strategy = {"alert_strategy": limited()} if "condition_matched_log" in case.condition else {}
        alerts.policy(name, case.condition, **strategy)
    for _ in range(8):
        system.minute(broken=False)
    before = alerts.fired()
    for _ in range(12):
        system.minute(broken=True)
    return Story(before, alerts.fired(), alerts.incidents())


@pins("alerting", "Conditions", "Nothing fires while all is well", ours="the law of all that follows")
def test_nothing_fires_while_the_system_is_well(story: Story) -> None:
    assert story.before == set()


@pins(
    "alerting",
    "Conditions",
    "Thresholds on real queues and services: depth, failed attempts as a ratio, 5xx as a ratio, p95 of latencies",
    documented="MetricThreshold: aggregations, denominator_filter, duration",
)
@pins(
    "alerting",
    "Conditions",
    "A series that stops reporting, a log line, a log-based metric, a subscription's backlog",
    documented="MetricAbsence, LogMatch; metrics lists of Logging and Pub/Sub",
)
@pytest.mark.parametrize("name", CASES)
def test_a_fault_fires_its_policy_and_no_other(story: Story, name: str) -> None:
    assert (name in story.after) == CASES[name].fires


def test_an_incident_says_which_series_it_is_about(story: Story) -> None:
    by_policy = {one["policy"]: one for one in story.incidents}
    assert by_policy["queue depth"]["resource"]["labels"]["queue_id"] == "deep"
    assert by_policy["absence"]["resource"]["labels"] == {"project_id": PROJECT, "service_name": "feed"}
    assert by_policy["log line"]["labels"] == {"service": "shop", "wallet": "ether"}
    assert float(by_policy["server errors"]["value"]) > 0.2
