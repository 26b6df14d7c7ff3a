"""What a queue's configuration may say, and what Google fills in where it says nothing.

Source: the v2 reference of Queue, RateLimits and RetryConfig; defaults as `gcloud tasks queues describe` shows them.
"""

import re
from collections.abc import Iterable

from local_cloud.apis.cloud_tasks.times import is_duration, put_duration, seconds
from local_cloud.descriptors import Message, message
from local_cloud.engines import backoff
from local_cloud.engines.app_engine import METHOD_NAMES
from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.bucket import burst_for
from local_cloud.engines.headers import MAX_BYTES, check_headers
from local_cloud.engines.queues import Limits
from local_cloud.errors import invalid

Queue = message("google.cloud.tasks.v2.Queue")

#: A queue that names no rate dispatches so often a second; the ceiling is the same.
DEFAULT_RATE = MAX_RATE = 500.0
#: Slower than this (one dispatch in thirty years) is not told apart.
SLOWEST_RATE = 1e-9
#: Attempts at a time of a queue that names no number, and the most that it may name.
DEFAULT_CONCURRENT, MAX_CONCURRENT = 1000, 5000

#: Fields that a caller sets; an empty mask means all of them.
SETTABLE = ("app_engine_routing_override", "http_target", "rate_limits", "retry_config", "stackdriver_logging_config")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:]+:[0-9A-Fa-f:]*")
#: Fields that only the service sets: what a caller says in them is ignored.
OUTPUT_ONLY = frozenset(
    {"name", "state", "purge_time", "rate_limits.max_burst_size", "app_engine_routing_override.host"}
)


def check(queue: Message) -> None:
    """Refuses what the real service refuses, in its words."""
    rates, retry = queue.rate_limits, queue.retry_config
    if rates.max_dispatches_per_second < 0:
        raise invalid("RateLimits.maxDispatchesPerSecond cannot be negative.")
    if not rates.max_dispatches_per_second <= MAX_RATE:  # NaN too
        raise invalid("RateLimits.maxDispatchesPerSecond must be less than or equal to 500.")
    if rates.max_concurrent_dispatches < 0:
        raise invalid("RateLimits.maxConcurrentDispatches cannot be negative.")
    if rates.max_concurrent_dispatches > MAX_CONCURRENT:
        raise invalid("RateLimits.maxConcurrentDispatches must be less than or equal to 5000.")
    check_retry(retry)
    if not 0.0 <= queue.stackdriver_logging_config.sampling_ratio <= 1.0:
        raise invalid("StackdriverLoggingConfig.samplingRatio must be between 0.0 and 1.0, inclusive.")
    check_target(queue.http_target)


def check_target(target: Message) -> None:
    """The rules of a queue's overrides; the words are ours."""
    if target.WhichOneof("authorization_header") and not (
        (target.oidc_token.service_account_email and target.oidc_token.audience)
        or (target.oauth_token.service_account_email and target.oauth_token.scope)
    ):
        raise invalid("HttpTarget.authorization_header must name the service account and the audience or scope.")
    override = target.uri_override
    if override.HasField("host") and not _HOST.fullmatch(override.host):
        raise invalid("HttpTarget.uriOverride.host must be a host name, without scheme, port or path.")
    if not 0 <= override.port <= 65535:
        raise invalid("HttpTarget.uriOverride.port must be a positive integer up to 65535; 0 clears the port.")
    if target.http_method not in METHOD_NAMES:
        raise invalid(f"HttpTarget.httpMethod {target.http_method} is not known.")
    headers = {item.header.key: item.header.value for item in target.header_overrides}
    check_headers(headers, "HttpTarget.headerOverrides", MAX_BYTES)


def check_retry(retry: Message) -> None:
    """The rules of a RetryConfig, of a queue or of a task."""
    if retry.max_attempts < -1:
        raise invalid("RetryConfig.maxAttempts must be greater or equal to -1.")
    for field in ("max_retry_duration", "min_backoff", "max_backoff"):
        if not is_duration(getattr(retry, field)):
            raise invalid(f"RetryConfig.{_camel(field)} is not a valid duration.")
        if seconds(getattr(retry, field)) < 0:
            raise invalid(f"RetryConfig.{_camel(field)} cannot be negative.")
    if retry.max_doublings < 0:
        raise invalid("RetryConfig.maxDoublings cannot be negative.")
    policy = retry_policy(retry)
    if policy.min_backoff > policy.max_backoff:
        raise invalid("RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.")


def fill(queue: Message) -> None:
    """Writes Google's defaults into a checked configuration, as it reads back."""
    rates, retry = queue.rate_limits, queue.retry_config
    rates.max_dispatches_per_second = rates.max_dispatches_per_second or DEFAULT_RATE
    rates.max_concurrent_dispatches = rates.max_concurrent_dispatches or DEFAULT_CONCURRENT
    rates.max_burst_size = burst_for(rates.max_dispatches_per_second)
    fill_retry(retry)


def fill_retry(retry: Message) -> None:
    """The defaults of a RetryConfig. A duration of zero is no limit, and reads back as not set."""
    policy = retry_policy(retry)
    retry.max_attempts, retry.max_doublings = policy.max_attempts, policy.max_doublings
    put_duration(retry.min_backoff, policy.min_backoff)
    put_duration(retry.max_backoff, policy.max_backoff)
    retry.ClearField("max_retry_duration")
    if policy.max_retry_duration:
        put_duration(retry.max_retry_duration, policy.max_retry_duration)


def retry_policy(retry: Message) -> RetryPolicy:
    """The retry law's own form. max_retry_duration is cut to whole seconds, as the reference says."""
    return RetryPolicy(
        max_attempts=retry.max_attempts or backoff.DEFAULT_MAX_ATTEMPTS,
        max_retry_duration=float(int(seconds(retry.max_retry_duration))),
        min_backoff=seconds(retry.min_backoff) if retry.HasField("min_backoff") else backoff.DEFAULT_MIN_BACKOFF,
        max_backoff=seconds(retry.max_backoff) if retry.HasField("max_backoff") else backoff.DEFAULT_MAX_BACKOFF,
        max_doublings=retry.max_doublings or backoff.DEFAULT_MAX_DOUBLINGS,
    )


def limits(queue: Message) -> Limits:
    """What the dispatcher needs of a filled configuration."""
    return Limits(
        rate=max(queue.rate_limits.max_dispatches_per_second, SLOWEST_RATE),
        concurrent=queue.rate_limits.max_concurrent_dispatches,
        retry=retry_policy(queue.retry_config),
    )


def merge(current: Message, given: Message, paths: Iterable[str]) -> Message:
    """The configuration after an update with a mask (empty: everything that a caller may set)."""
    merged = Queue()
    merged.CopyFrom(current)
    wanted = list(paths)
    for path in SETTABLE if not wanted or wanted == ["*"] else wanted:
        parts = [_snake(part) for part in path.split(".")]
        if ".".join(parts) in OUTPUT_ONLY:
            continue
        if parts[0] not in SETTABLE:
            raise invalid(f"Invalid field in the update mask: '{path}'.")
        _assign(merged, given, parts, path)
    _prune(merged)
    return merged


def _prune(queue: Message) -> None:
    """Takes out what a mask has emptied part by part: a token without account, overrides that override nothing."""
    target = queue.http_target
    for name in ("uri_override", "oidc_token", "oauth_token"):
        if target.HasField(name) and not getattr(target, name).ByteSize():
            target.ClearField(name)
    for name in ("http_target", "app_engine_routing_override", "stackdriver_logging_config"):
        if queue.HasField(name) and not getattr(queue, name).ByteSize():
            queue.ClearField(name)


def _assign(target: Message, source: Message, parts: list[str], path: str) -> None:
    field = target.DESCRIPTOR.fields_by_name.get(parts[0])
    if field is None or (len(parts) > 1 and (field.message_type is None or field.is_repeated)):
        raise invalid(f"Invalid field in the update mask: '{path}'.")
    if len(parts) > 1:
        _assign(getattr(target, parts[0]), getattr(source, parts[0]), parts[1:], path)
        return
    target.ClearField(parts[0])
    value = getattr(source, parts[0])
    if field.is_repeated:
        getattr(target, parts[0]).MergeFrom(value)
    elif field.message_type is None:
        setattr(target, parts[0], value)
    elif source.HasField(parts[0]):
        getattr(target, parts[0]).CopyFrom(value)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
