"""What a policy must be when it is written, around its conditions (condition_rules.py), and what the server fills in.

Sources: google/monitoring/v3/alert.proto, https://cloud.google.com/monitoring/quotas,
https://cloud.google.com/monitoring/alerts/policies-in-api; wordings of public issues where there are some.
"""

import re
import secrets

from local_cloud.alerting import condition_rules
from local_cloud.alerting.words import CHANNEL, COMBINERS, PROMPTS, SEVERITIES, shown, wrong
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import invalid, not_found
from local_cloud.metrics.catalogue import Catalogue

MAX_CONDITIONS, MAX_CHANNELS, MAX_LABELS, MAX_LINKS = 6, 16, 64, 3
MAX_NAME, MAX_CONTENT, MAX_SUBJECT = 512, 10_240, 255
#: Seconds: what auto_close, rate limits and reminders may be.
AUTO_CLOSE, RATE_LIMIT, RENOTIFY = (1800, 604_800), (300, 172_800), (1800, 86_400)
_RATE_LIMIT = "alert_policy.alert_strategy.notification_rate_limit"
_CHANNEL = re.compile(r"projects/[^/]+/notificationChannels/[^/]+")
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def number() -> str:
    """The id of what the server names itself."""
    return str(10**18 + secrets.randbelow(9 * 10**18))


def check(cloud: Cloud, policy: Message) -> None:
    """Refuses what Google refuses."""
    if not policy.display_name:
        raise wrong("alert_policy.display_name", "", "Display name must not be empty.")
    if len(policy.display_name) > MAX_NAME:
        raise wrong("alert_policy.display_name", policy.display_name, f"It is limited to {MAX_NAME} characters.")
    if not policy.conditions:
        raise wrong("alert_policy.conditions", "", "A policy must have at least one condition.")
    if len(policy.conditions) > MAX_CONDITIONS:
        why = f"A policy can have at most {MAX_CONDITIONS} conditions."
        raise wrong("alert_policy.conditions", len(policy.conditions), why)
    if COMBINERS.get(policy.combiner, "COMBINE_UNSPECIFIED") == "COMBINE_UNSPECIFIED":
        raise wrong("alert_policy.combiner", "COMBINE_UNSPECIFIED", "A combiner must be given.")
    if policy.severity not in SEVERITIES:
        raise wrong("alert_policy.severity", policy.severity, "It is not known.")
    catalogue = cloud.use(Catalogue)
    for index, condition in enumerate(policy.conditions):
        condition_rules.check(catalogue, condition, f"alert_policy.conditions[{index}]")
    _check_strategy(policy)
    _check_documentation(policy.documentation)
    check_labels(policy.user_labels, "alert_policy.user_labels")
    _check_channels(cloud, policy)


def complete(policy: Message, current: Message | None) -> None:
    """Names what the server names. A condition keeps its name where the policy had one of that name before."""
    known = {str(condition.name) for condition in current.conditions} if current is not None else set()
    seen: set[str] = set()
    for condition in policy.conditions:
        if condition.name not in known or condition.name in seen:
            condition.name = f"{policy.name}/conditions/{number()}"
        seen.add(condition.name)
    if not policy.HasField("enabled"):
        policy.enabled.value = True
    policy.ClearField("validity")


def check_labels(labels: "dict[str, str]", field: str) -> None:
    """User labels of policies and channels."""
    if len(labels) > MAX_LABELS:
        raise wrong(field, len(labels), f"There can be at most {MAX_LABELS} labels.")
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            why = "Keys are a lowercase letter, then lowercase letters, digits, underscores and dashes, 63 at most."
            raise wrong(field, key, why)
        if not _VALUE.fullmatch(value):
            why = "Values have lowercase letters, digits, underscores and dashes, 63 at most."
            raise wrong(field, value, why)


def is_log_match(policy: Message) -> bool:
    """Whether logs are watched rather than series."""
    return any(condition.HasField("condition_matched_log") for condition in policy.conditions)


def _check_strategy(policy: Message) -> None:
    strategy, logs = policy.alert_strategy, is_log_match(policy)
    if logs and len(policy.conditions) > 1:
        raise invalid("Alert policies with a log matching condition can only have a single condition.")
    limited = strategy.HasField("notification_rate_limit")
    period = strategy.notification_rate_limit.period
    if limited and not logs:
        why = "only log-based alert policies may specify a notification rate limit"
        raise wrong(_RATE_LIMIT, f"period {{ seconds: {period.seconds} }}", why)
    if logs and not limited:
        why = "log-based alert policies must specify a notification rate limit"
        raise wrong(_RATE_LIMIT, "", why)
    if limited:
        _within(period, RATE_LIMIT, f"{_RATE_LIMIT}.period", "5m", "48h")
    if strategy.HasField("auto_close"):
        _within(strategy.auto_close, AUTO_CLOSE, "alert_policy.alert_strategy.auto_close", "30m", "168h")
    prompts = [PROMPTS.get(prompt, str(prompt)) for prompt in strategy.notification_prompts]
    allowed = (["OPENED"],) if logs else (["OPENED"], ["OPENED", "CLOSED"], ["CLOSED", "OPENED"])
    if prompts and prompts not in allowed:
        why = "It must be [OPENED]." if logs else "It must be [OPENED] or [OPENED, CLOSED]."
        raise wrong("alert_policy.alert_strategy.notification_prompts", ", ".join(prompts), why)
    for index, one in enumerate(strategy.notification_channel_strategy):
        field = f"alert_policy.alert_strategy.notification_channel_strategy[{index}]"
        if one.HasField("renotify_interval"):
            _within(one.renotify_interval, RENOTIFY, f"{field}.renotify_interval", "30m", "24h")
        for channel in one.notification_channel_names:
            if channel not in policy.notification_channels:
                raise wrong(f"{field}.notification_channel_names", channel, "It is no channel of the policy.")


def _within(duration: Message, bounds: tuple[int, int], field: str, least: str, most: str) -> None:
    if not bounds[0] <= duration.ToNanoseconds() / 1e9 <= bounds[1]:
        raise wrong(field, shown(duration), f"It must be between {least} and {most}.")


def _check_documentation(given: Message) -> None:
    size = len(given.content.encode())
    if size > MAX_CONTENT:
        field = "alert_policy.documentation.content"
        raise invalid(f"Field {field} exceeds a maximum size of {MAX_CONTENT} bytes with a value of {size}")
    if given.content and given.mime_type not in ("", "text/markdown"):
        why = 'Only "text/markdown" is supported.'
        raise wrong("alert_policy.documentation.mime_type", given.mime_type, why)
    if len(given.subject) > MAX_SUBJECT:
        why = f"It is limited to {MAX_SUBJECT} characters."
        raise wrong("alert_policy.documentation.subject", given.subject, why)
    if len(given.links) > MAX_LINKS:
        raise wrong("alert_policy.documentation.links", len(given.links), f"There can be at most {MAX_LINKS} links.")
    for index, link in enumerate(given.links):
        if not link.url:
            raise wrong(f"alert_policy.documentation.links[{index}].url", "", "A link must have a URL.")


def _check_channels(cloud: Cloud, policy: Message) -> None:
    if len(policy.notification_channels) > MAX_CHANNELS:
        why = f"A policy can have at most {MAX_CHANNELS} notification channels."
        raise wrong("alert_policy.notification_channels", len(policy.notification_channels), why)
    kept = cloud.store.messages(f"plain.{CHANNEL}", CHANNEL)
    for channel in policy.notification_channels:
        if not _CHANNEL.fullmatch(channel):
            raise invalid(
                f"Name must begin with 'projects/{{project_id}}/notificationChannels/{{channel_id}}', got: {channel}"
            )
        if cloud.canonical(channel) not in kept:
            raise not_found(f"The notification channel {channel} does not exist.")
