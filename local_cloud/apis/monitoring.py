"""Cloud Monitoring's plain part: notification channels and alert policies are checked, kept and read back.

Nothing is watched and nobody is notified. The checks are those that Google makes when a policy is written
(google/monitoring/v3/alert.proto): conditions, durations, the rate limit of log matches.
Dashboards, services, groups and all else of the API are the neighbours' whose names begin with monitoring_.
"""

import secrets

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import failed_precondition, invalid
from local_cloud.plain import Plain
from local_cloud.plain_api import Kind, declare
from local_cloud.registry import Api

API = Api(
    "monitoring",
    services=[
        "google.monitoring.v3.NotificationChannelService",
        "google.monitoring.v3.AlertPolicyService",
        "google.monitoring.v3.MetricService",
        "google.monitoring.v3.ServiceMonitoringService",
        "google.monitoring.v3.UptimeCheckService",
        "google.monitoring.v3.SnoozeService",
        "google.monitoring.v3.GroupService",
        "google.monitoring.v3.QueryService",
        "google.monitoring.dashboard.v1.DashboardsService",
    ],
)

ALERT = "google.monitoring.v3.AlertPolicy"
CHANNEL = "google.monitoring.v3.NotificationChannel"
MAX_CONDITIONS = 6
_COMPARISONS = ("COMPARISON_GT", "COMPARISON_LT")


def _number(_cloud: Cloud, _made: Message) -> str:
    return str(10**18 + secrets.randbelow(9 * 10**18))


def _stamp_record(cloud: Cloud, record: Message) -> None:
    record.mutate_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)


def _complete_channel(cloud: Cloud, made: Message, current: Message | None) -> None:
    if not made.type:
        raise invalid("Field notification_channel.type is required.")
    if not made.HasField("enabled"):
        made.enabled.value = True
    if current is None:
        _stamp_record(cloud, made.creation_record)
    else:
        made.creation_record.CopyFrom(current.creation_record)
    _stamp_record(cloud, made.mutation_records.add())


def _in_use(cloud: Cloud, request: Message) -> None:
    """A channel that policies name goes only by force, and out of them."""
    for name, policy in Plain(cloud, ALERT).kept.items():
        if request.name in policy.notification_channels:
            if not request.force:
                raise failed_precondition(
                    f"Cannot delete notification channel {request.name}. One or more alerting policies are relying on "
                    "this channel. Remove it from them, or delete it with force."
                )
            kept = [channel for channel in policy.notification_channels if channel != request.name]
            del policy.notification_channels[:]
            policy.notification_channels.extend(kept)
            Plain(cloud, ALERT).kept.save(name)


def _complete_policy(cloud: Cloud, made: Message, current: Message | None) -> None:
    if not 1 <= len(made.conditions) <= MAX_CONDITIONS:
        raise invalid(f"Field alert_policy.conditions must have 1 to {MAX_CONDITIONS} conditions.")
    if not made.combiner:
        raise invalid("Field alert_policy.combiner is required.")
    for index, condition in enumerate(made.conditions):
        _check_condition(made, condition, f"alert_policy.conditions[{index}]")
        condition.name = condition.name or f"{made.name}/conditions/{_number(cloud, made)}"
    for channel in made.notification_channels:
        Plain(cloud, CHANNEL, noun="NotificationChannel").get(cloud.canonical(channel))
    if not made.HasField("enabled"):
        made.enabled.value = True
    _stamp_record(cloud, made.mutation_record)
    made.creation_record.CopyFrom(made.mutation_record if current is None else current.creation_record)


def _check_condition(policy: Message, condition: Message, where: str) -> None:
    kind = condition.WhichOneof("condition")
    if kind is None:
        raise invalid(f"Field {where} must have a condition.")
    limited = policy.alert_strategy.HasField("notification_rate_limit")
    if (kind == "condition_matched_log") != limited:
        which = "A log-match condition needs" if not limited else "Only a policy with a log-match condition may have"
        raise invalid(f"Field alert_policy.alert_strategy.notification_rate_limit: {which} a rate limit.")
    inner = getattr(condition, kind)
    if "duration" in inner.DESCRIPTOR.fields_by_name and inner.duration.ToSeconds() % 60:
        raise invalid(f"Field {where}.{kind}.duration must be a multiple of 60 seconds.")
    if kind == "condition_threshold":
        names = inner.DESCRIPTOR.fields_by_name["comparison"].enum_type.values_by_number
        if names[inner.comparison].name not in _COMPARISONS:
            raise invalid(f"Field {where}.{kind}.comparison must be COMPARISON_GT or COMPARISON_LT.")
    if kind in ("condition_threshold", "condition_absent"):
        for needed in ("metric.type", "resource.type"):
            if needed not in inner.filter:
                raise invalid(f"Field {where}.{kind}.filter must name a {needed}.")


declare(
    API,
    Kind(
        proto=CHANNEL, service="NotificationChannelService", noun="NotificationChannel", plural="NotificationChannels",
        field="notification_channel", items="notification_channels", parent="name", collection="notificationChannels",
        permission="monitoring.notificationChannels", new_id=_number, complete=_complete_channel, before_delete=_in_use,
    ),
)  # fmt: skip
declare(
    API,
    Kind(
        proto=ALERT, service="AlertPolicyService", noun="AlertPolicy", plural="AlertPolicies", field="alert_policy",
        items="alert_policies", parent="name", collection="alertPolicies", permission="monitoring.alertPolicies",
        new_id=_number, complete=_complete_policy,
    ),
)  # fmt: skip


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept, so that nothing of it is lost on a state that nobody asks about."""
    for kind in (CHANNEL, ALERT):
        Plain(cloud, kind)
