"""Series and points as google.monitoring.v3 messages, and back."""

from local_cloud.descriptors import Message, message
from local_cloud.metrics.descriptors import KINDS, TYPES
from local_cloud.metrics.distribution import Buckets, Distribution
from local_cloud.metrics.series import Point, Series, Value

_FIELDS = {"BOOL": "bool_value", "INT64": "int64_value", "DOUBLE": "double_value", "STRING": "string_value"}
_NAMES = {"bool_value": "BOOL", "int64_value": "INT64", "double_value": "DOUBLE", "string_value": "STRING",
          "distribution_value": "DISTRIBUTION"}  # fmt: skip


def series_message(series: Series, points: list[Point]) -> Message:
    """A series with the points given, in their order."""
    made = message("google.monitoring.v3.TimeSeries")(
        metric={"type": series.key.metric, "labels": dict(series.key.metric_labels)},
        resource={"type": series.key.resource, "labels": dict(series.key.resource_labels)},
        metric_kind=KINDS[series.kind],
        value_type=TYPES[series.type],
    )
    for point in points:
        one = made.points.add()
        one.interval.start_time.FromNanoseconds(point.start)
        one.interval.end_time.FromNanoseconds(point.end)
        if isinstance(point.value, Distribution):
            _put(one.value.distribution_value, point.value)
        else:
            setattr(one.value, _FIELDS[series.type], point.value)
    return made


def value_of(value: Message) -> tuple[str, Value]:
    """The type and the value of a TypedValue; "" where it has none."""
    name = value.WhichOneof("value")
    if name is None:
        return "", 0
    if name == "distribution_value":
        return "DISTRIBUTION", _distribution(value.distribution_value)
    found: Value = getattr(value, name)
    return _NAMES[name], found


def _put(made: Message, value: Distribution) -> None:
    made.count, made.mean, made.sum_of_squared_deviation = value.size, value.mean, value.deviation
    made.bucket_counts.extend(value.counts)
    numbers = value.buckets.numbers
    if value.buckets.kind == "explicit":
        made.bucket_options.explicit_buckets.bounds.extend(numbers)
    elif value.buckets.kind == "exponential":
        options = made.bucket_options.exponential_buckets
        options.num_finite_buckets, options.growth_factor, options.scale = int(numbers[0]), numbers[1], numbers[2]
    else:
        linear = made.bucket_options.linear_buckets
        linear.num_finite_buckets, linear.width, linear.offset = int(numbers[0]), numbers[1], numbers[2]


def buckets_of(options: Message) -> Buckets:
    """Bucket options as they are counted by."""
    kind = options.WhichOneof("options")
    if kind == "exponential_buckets":
        found = options.exponential_buckets
        return Buckets("exponential", (found.num_finite_buckets, found.growth_factor, found.scale))
    if kind == "linear_buckets":
        linear = options.linear_buckets
        return Buckets("linear", (linear.num_finite_buckets, linear.width, linear.offset))
    return Buckets("explicit", tuple(options.explicit_buckets.bounds))


def _distribution(given: Message) -> Distribution:
    counts = list(given.bucket_counts)
    while counts and not counts[-1]:
        counts.pop()
    buckets = buckets_of(given.bucket_options)
    return Distribution(given.count, given.mean, given.sum_of_squared_deviation, buckets, tuple(counts))
