"""How Google words what is wrong with a policy, and the enums of alert.proto by their names."""

import orjson

from local_cloud.descriptors import Message, enum
from local_cloud.errors import ApiError, invalid

POLICY = "google.monitoring.v3.AlertPolicy"
CHANNEL = "google.monitoring.v3.NotificationChannel"
SNOOZE = "google.monitoring.v3.Snooze"

COMBINERS = {number: name for name, number in enum(f"{POLICY}.ConditionCombinerType").items()}
SEVERITIES = {number: name for name, number in enum(f"{POLICY}.Severity").items()}
PROMPTS = {number: name for name, number in enum(f"{POLICY}.AlertStrategy.NotificationPrompt").items()}
MISSING = {number: name for name, number in enum(f"{POLICY}.Condition.EvaluationMissingData").items()}
COMPARISONS = {number: name for name, number in enum("google.monitoring.v3.ComparisonType").items()}
ALIGNERS = {number: name for name, number in enum("google.monitoring.v3.Aggregation.Aligner").items()}
REDUCERS = {number: name for name, number in enum("google.monitoring.v3.Aggregation.Reducer").items()}


def wrong(field: str, value: object, why: str) -> ApiError:
    """A field with a value that cannot be."""
    return invalid(f'Field {field} had an invalid value of "{value}": {why}')


def shown(duration: Message) -> str:
    """A duration as refusals quote it: 30s, 90m, 24h, 23h30m."""
    seconds = duration.ToNanoseconds() / 1e9
    if seconds <= 0 or seconds % 60:
        return f"{seconds:g}s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


def proto(duration: Message) -> str:
    """A duration as its proto, as refusals of alignment periods quote it."""
    return orjson.dumps({"seconds": duration.seconds}).decode()
