"""Alert policies as a resource, with Google's own client: names, updates, lists, and what is refused in which words."""

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import monitoring_v3
from google.protobuf import field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import DEPTH, NAME, Alerts, above, absent, depth_of, each, limited, logged
from tests.local_cloud.alerting.alerts_client import series as only
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import advance

GOOD = only(DEPTH, "cloud_tasks_queue")
CODES = "cloudtasks.googleapis.com/queue/task_attempt_count"
LATENCY = "run.googleapis.com/request_latencies"


@pins(
    "alerting",
    "Conditions",
    "The server names policies and conditions; a condition keeps its name when it is given back, a new one gets one",
    documented="AlertPolicy.name, Condition.name",
)
def test_names_are_the_servers_and_stay(alerts: Alerts) -> None:
    made = alerts.policy("named", depth_of("a", 1), depth_of("b", 1))
    assert made.name.startswith(f"{NAME}/alertPolicies/")
    first, second = (condition.name for condition in made.conditions)
    assert first.startswith(f"{made.name}/conditions/")
    assert first != second
    advance(alerts.place, 5)
    made.conditions[0].condition_threshold.threshold_value = 2
    made.conditions[1].name = ""
    changed = alerts.policies.update_alert_policy(alert_policy=made)
    assert changed.conditions[0].name == first
    assert changed.conditions[1].name not in ("", second)
    assert changed.creation_record.mutate_time == made.creation_record.mutate_time
    assert changed.mutation_record.mutate_time > made.mutation_record.mutate_time
    assert changed.mutation_record.mutated_by
    alerts.policies.delete_alert_policy(name=made.name)
    with pytest.raises(exceptions.NotFound):
        alerts.policies.get_alert_policy(name=made.name)


def test_a_mask_changes_only_what_it_names(alerts: Alerts) -> None:
    made = alerts.policy("masked", depth_of("a", 1), user_labels={"team": "pay"})
    wanted = monitoring_v3.AlertPolicy(name=made.name, display_name="other", enabled=False)
    mask = field_mask_pb2.FieldMask(paths=["enabled"])
    changed = alerts.policies.update_alert_policy(alert_policy=wanted, update_mask=mask)
    assert (changed.enabled, changed.display_name) == (False, "masked")
    assert changed.conditions == made.conditions
    assert alerts.policies.get_alert_policy(name=made.name) == changed
    alerts.policies.delete_alert_policy(name=made.name)


@pins(
    "alerting",
    "Conditions",
    "Lists with filters over fields, functions among them, and an order",
    documented="Sorting and filtering",
)
@pytest.mark.parametrize(
    ("wanted", "order", "found"),
    [
        ('display_name="list a"', "", ["list a"]),
        ('display_name=starts_with("list")', "display_name", ["list a", "list b", "list c"]),
        ('display_name=starts_with("list")', "-display_name", ["list c", "list b", "list a"]),
        ('display_name=has_substring("LIST") AND NOT user_labels.team="pay"', "display_name", ["list b", "list c"]),
        ('user_labels="team"', "", ["list a"]),
        ('display_name=("list a")', "", None),
        ('display_name=one_of("list a", "list c") AND enabled=true', "display_name", ["list a", "list c"]),
        ('conditions.display_name:"above 7"', "", ["list b"]),
        ('display_name=monitoring.regex.full_match("list (b|c)")', "display_name", ["list b", "list c"]),
        ('(display_name="list a" OR severity="ERROR") display_name:"list"', "display_name", ["list a", "list c"]),
    ],
)  # fmt: skip
def test_policies_are_listed_by_filter_and_order(
    alerts: Alerts, wanted: str, order: str, found: list[str] | None
) -> None:
    known = {policy.display_name for policy in alerts.policies.list_alert_policies(name=NAME)}
    for name, condition, more in (
        ("list b", depth_of("a", 7), {}),
        ("list a", depth_of("a", 1), {"user_labels": {"team": "pay"}}),
        ("list c", depth_of("a", 1), {"severity": "ERROR"}),
    ):
        if name not in known:
            alerts.policy(name, condition, **more)
    request = {"name": NAME, "filter": wanted, "order_by": order, "page_size": 1}
    if found is None:
        with pytest.raises(exceptions.InvalidArgument, match="Unparseable filter"):
            alerts.policies.list_alert_policies(request=request)
        return
    assert [policy.display_name for policy in alerts.policies.list_alert_policies(request=request)] == found


def inner(kind: str, condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**condition, kind: condition[kind] | more}


def threshold(text: str = GOOD, *aggregations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return above(text, 1, *(aggregations or (each("MAX"),)), **more)


WHERE = r"Field alert_policy.conditions\[0\].condition_threshold"
REFUSED: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no condition": ([], {}, "at least one condition"),
    "seven conditions": ([threshold()] * 7, {}, "at most 6 conditions"),
    "no subtype": ([{"display_name": "x"}], {}, r'conditions\[0\].condition_case had an invalid value of "0"'),
    "no combiner": ([threshold()], {"combiner": "COMBINE_UNSPECIFIED"}, "combiner"),
    "no metric": ([threshold('resource.type = "global"')], {}, 'must specify a restriction on "metric.type"'),
    "no resource": ([threshold(f'metric.type = "{DEPTH}"')], {},
                    rf'{WHERE}.filter had an invalid value of .*must specify a restriction on "resource.type"'),
    "no such label": ([threshold(only(DEPTH, "cloud_tasks_queue", colour="red"))], {}, "valid combination of metric"),
    "wrong resource": ([threshold(only(DEPTH, "cloud_run_revision"))], {}, "valid combination of metric"),
    "not a filter": ([threshold("metric.type ==")], {}, "Unparseable filter"),
    "comparison": ([threshold(comparison="COMPARISON_GE")], {}, "Only COMPARISON_GT and COMPARISON_LT are supported"),
    "half a minute": ([threshold(seconds=30)], {},
                      rf'{WHERE}.duration had an invalid value of "30s": only multiples of 1 minute are supported'),
    "a day": ([threshold(seconds=86_400)], {}, 'value of "24h": Durations longer than 23h30m are not supported'),
    "period": ([threshold(GOOD, each("MAX", period=450))], {}, r'invalid value of "{"seconds":450}": alignment period '
               "must be in multiples of one minute"),
    "short period": ([threshold(GOOD, each("MAX", period=0))], {}, "at least 60 seconds"),
    "aligner": ([threshold(only(LATENCY, "cloud_run_revision"), each("RATE"))], {},
                'perSeriesAligner had an invalid value of "ALIGN_RATE": The aligner cannot be applied to metrics with '
                "kind DELTA and value type DISTRIBUTION"),
    "reducer": ([threshold(GOOD, each("MAX", "COUNT_TRUE"))], {}, "crossSeriesReducer had an invalid value"),
    "distribution": ([threshold(only(LATENCY, "cloud_run_revision"), each("DELTA"))], {}, "only numbers of kind GAUGE"),
    "missing data": ([threshold(evaluation_missing_data="EVALUATION_MISSING_DATA_INACTIVE")], {},
                     "Conditions setting evaluation_missing_data must have a non-zero duration"),
    "denominator": ([threshold(denominator_filter='metric.type = "x/y"', denominator_aggregations=[each("MAX")])], {},
                    "Cannot find metric"),
    "denominator's aggregations": ([threshold(denominator_aggregations=[each("MAX")])], {}, "denominator_filter"),
    "denominator's period": ([threshold(denominator_filter=only(CODES, "cloud_tasks_queue"),
                                        denominator_aggregations=[each("DELTA", period=120)])], {}, "alignment period"),
    "trigger": ([threshold(trigger={"percent": 120.0})], {}, "at most 100"),
    "horizon": ([threshold(forecast_options={"forecast_horizon": {"seconds": 1800}})], {}, "1 hour to 60 hours"),
    "short absence": ([absent(GOOD, 120)], {}, "Durations shorter than 3m are not supported"),
    "long absence": ([absent(GOOD, 86_400)], {}, r'condition_absent.duration had an invalid value of "24h": Durations '
                     "longer than 23h30m are not supported"),
    "rate limit": ([threshold()], {"alert_strategy": limited()},
                   "only log-based alert policies may specify a notification rate limit"),
    "no rate limit": ([logged("severity=ERROR")], {}, "must specify a notification rate limit"),
    "fast rate": ([logged("severity=ERROR")], {"alert_strategy": limited(60)}, "between 5m and 48h"),
    "two with logs": ([logged("severity=ERROR"), threshold()], {"alert_strategy": limited()},
                      "Alert policies with a log matching condition can only have a single condition"),
    "log filter": ([logged("severity=(")], {"alert_strategy": limited()}, "Unparseable filter"),
    "extractor": ([logged("severity=ERROR", who="labels.who")], {"alert_strategy": limited()}, "is no extractor"),
    "auto-close": ([threshold()], {"alert_strategy": {"auto_close": {"seconds": 60}}}, "between 30m and 168h"),
    "prompts": ([logged("x")], {"alert_strategy": limited(notification_prompts=["OPENED", "CLOSED"])}, "be .OPENED."),
    "renotify": ([threshold()], {"alert_strategy": {"notification_channel_strategy": [
        {"renotify_interval": {"seconds": 60}}]}}, "between 30m and 24h"),
    "channel's name": ([threshold()], {"notification_channels": ["ops"]}, "Name must begin with 'projects/"),
    "long text": ([threshold()], {"documentation": {"content": "x" * 10_241}}, "exceeds a maximum size of 10240 bytes"),
    "label": ([threshold()], {"user_labels": {"Team": "pay"}}, "user_labels"),
}  # fmt: skip


@pins(
    "alerting",
    "Conditions",
    "What Google refuses is refused in its words: filters, comparisons, durations, aligners, strategies",
    documented="alert.proto",
    observed="public issues of Google's clients and providers",
)
@pytest.mark.parametrize("name", REFUSED)
def test_what_google_refuses_is_refused(alerts: Alerts, name: str) -> None:
    conditions, more, words = REFUSED[name]
    with pytest.raises((exceptions.InvalidArgument, exceptions.NotFound), match=words):
        alerts.policy("refused", *conditions, **more)
    assert "refused" not in {policy.display_name for policy in alerts.policies.list_alert_policies(name=NAME)}


@pins("alerting", "Conditions", "A metric that does not exist is NOT_FOUND, as is a channel", observed="public issues")
def test_what_does_not_exist_is_not_found(alerts: Alerts) -> None:
    with pytest.raises(exceptions.NotFound, match="Cannot find metric"):
        alerts.policy("refused", threshold(only("custom.googleapis.com/nothing", "global")))
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        alerts.policy("refused", threshold(), notification_channels=[f"{NAME}/notificationChannels/1"])


@pins("alerting", "Conditions", "MQL, PromQL and SQL are refused by name", ours="none is kept that would never fire")
@pytest.mark.parametrize(
    "condition",
    [
        {"condition_monitoring_query_language": {"query": "fetch x"}},
        {"condition_prometheus_query_language": {"query": "up == 0"}},
        {"condition_sql": {"query": "SELECT 1"}},
    ],
    ids=lambda condition: next(iter(condition)),
)
def test_languages_that_are_not_evaluated_are_not_accepted(alerts: Alerts, condition: dict[str, Any]) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="not emulated"):
        alerts.policy("refused", {"display_name": "x", **condition})


def test_what_is_given_reads_back_whole(alerts: Alerts) -> None:
    channel = alerts.hook("email", email_address="ops@example.com")
    given = monitoring_v3.AlertPolicy(
        display_name="whole", combiner="OR", severity="CRITICAL", user_labels={"team": "pay"},
        notification_channels=[channel],
        documentation={"content": "# Do", "mime_type": "text/markdown", "subject": "s", "links": [{"url": "http://x"}]},
        conditions=[depth_of("a", 1, 300, trigger={"count": 2}), absent(GOOD, 300, each("MEAN"))],
        alert_strategy={"auto_close": {"seconds": 3600}, "notification_prompts": ["OPENED"],
                        "notification_channel_strategy": [{"notification_channel_names": [channel],
                                                           "renotify_interval": {"seconds": 3600}}]},
    )  # fmt: skip
    made = alerts.policies.create_alert_policy(name=NAME, alert_policy=given)
    read = alerts.policies.get_alert_policy(name=made.name)
    assert read == made
    assert read.enabled is True
    for field in ("name", "creation_record", "mutation_record", "enabled"):
        setattr(read, field, None)
    for condition in read.conditions:
        condition.name = ""
    assert read == given
    assert f"projects/{PROJECT}/alertPolicies/" in made.name
