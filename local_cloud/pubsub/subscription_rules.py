"""What a subscription may say, and what it is completed with.

Owns the checks of google.pubsub.v1.Subscription and its defaults, field for field as they read back. Leaves alone: who
may ask, whether topics and accounts are there, and what the settings do. Sources: pubsub.proto,
https://cloud.google.com/pubsub/docs/subscription-properties, and answers recorded from the real service.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from local_cloud.descriptors import Message, enum
from local_cloud.errors import ApiError, invalid
from local_cloud.plain import merge
from local_cloud.pubsub import words
from local_cloud.pubsub.filters import compiled

STATES = enum("google.pubsub.v1.Subscription.State")

DEFAULT_DEADLINE, MIN_DEADLINE, MAX_DEADLINE = 10, 10, 600
#: Messages are kept 7 days, or as long as the subscription lives without use where that is shorter.
DEFAULT_RETENTION = 7 * 86_400
#: An unused subscription goes after 31 days; none goes before a day.
DEFAULT_EXPIRY, MIN_EXPIRY = 31 * 86_400, 86_400.0
DEFAULT_ATTEMPTS, MIN_ATTEMPTS, MAX_ATTEMPTS = 5, 5, 100
DEFAULT_BACKOFF = {"minimum_backoff": 10, "maximum_backoff": 600}
MAX_BACKOFF = 600.0
#: Formats of a push that are still served: both are the one of v1.
PUSH_VERSIONS = ("v1", "v1beta2")

#: What an update cannot change.
FIXED = ("name", "topic", "enable_message_ordering", "filter", "state", "detached", "tags",
         "topic_message_retention_duration", "analytics_hub_subscription_info")  # fmt: skip
#: What is ours to say, or never shown.
_OUTPUT = ("state", "detached", "tags", "topic_message_retention_duration", "analytics_hub_subscription_info")
_NOT_DONE = {
    "bigquery_config": "Delivery to BigQuery (bigquery_config)",
    "cloud_storage_config": "Delivery to Cloud Storage (cloud_storage_config)",
    "bigtable_config": "Delivery to Bigtable (bigtable_config)",
}


def completed(given: Message) -> Message:
    """A subscription as it is kept, after every check that needs nothing but itself."""
    made = type(given)()
    made.CopyFrom(given)
    for field in _OUTPUT:
        made.ClearField(field)
    made.state = STATES["ACTIVE"]
    _refuse_what_is_not_done(made)
    words.check_labels(made.labels)
    made.ack_deadline_seconds = made.ack_deadline_seconds or DEFAULT_DEADLINE
    if not MIN_DEADLINE <= made.ack_deadline_seconds <= MAX_DEADLINE:
        raise invalid(
            f"Invalid ack deadline given (ack_deadline={made.ack_deadline_seconds}). The ack deadline must be between "
            f"{MIN_DEADLINE} and {MAX_DEADLINE} seconds."
        )
    _complete_times(made)
    compiled(made.filter)
    if made.HasField("dead_letter_policy"):
        _complete_dead_letters(made.dead_letter_policy)
    if made.HasField("retry_policy"):
        _complete_retries(made.retry_policy)
    complete_push(made)
    return made


def changed(current: Message, wanted: Message, paths: Iterable[str]) -> Message:
    """What an update makes of a subscription."""
    mask = list(paths)
    words.check_mask(mask, "Subscription", current, FIXED, "push_config")
    made = completed(merge(current, wanted, mask))
    made.detached = current.detached
    return made


def complete_push(made: Message) -> None:
    """Checks the push configuration; one without an endpoint is empty, which means pull."""
    push = made.push_config
    if not push.push_endpoint:
        made.push_config.Clear()
        made.push_config.SetInParent()
        return
    if not reachable(push.push_endpoint):
        raise invalid(
            f"Invalid push endpoint given (endpoint={push.push_endpoint}). Refer to "
            "https://cloud.google.com/pubsub/subscriber#create for more information."
        )
    version = push.attributes.get("x-goog-version", "v1")
    if version not in PUSH_VERSIONS:
        raise invalid(f"Invalid push endpoint version given in push config (version={version}).")
    if push.HasField("oidc_token"):
        name, at, host = push.oidc_token.service_account_email.partition("@")
        if not (name and at and host):
            raise words.wrong("PushConfig::oidc_token::service_account_email")
    if made.enable_exactly_once_delivery:
        raise invalid("Exactly-once delivery is not supported for push subscriptions.")


def reachable(endpoint: str) -> bool:
    """Whether a push may go there: https anywhere, or http on this machine, where services are."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or port == 0 or any(char <= " " or char == "\x7f" for char in endpoint):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _complete_times(made: Message) -> None:
    if not made.HasField("expiration_policy"):
        made.expiration_policy.ttl.seconds = DEFAULT_EXPIRY
    lives = words.seconds(made.expiration_policy.ttl) if made.expiration_policy.HasField("ttl") else None
    if lives is not None and lives < MIN_EXPIRY:
        raise invalid(
            f"The value for expiration duration is too small. You passed {words.spoken(lives)} in the request, but the "
            f"minimum value is {words.spoken(MIN_EXPIRY)}."
        )
    if not made.HasField("message_retention_duration"):
        made.message_retention_duration.seconds = min(DEFAULT_RETENTION, int(lives or DEFAULT_RETENTION))
    words.check_retention(made.message_retention_duration)
    kept = words.seconds(made.message_retention_duration)
    if lives is not None and kept > lives:
        raise invalid(
            f"The message retention duration ({words.spoken(kept)}) must not be longer than the expiration duration "
            f"({words.spoken(lives)})."
        )


def _complete_dead_letters(policy: Message) -> None:
    policy.max_delivery_attempts = policy.max_delivery_attempts or DEFAULT_ATTEMPTS
    if not MIN_ATTEMPTS <= policy.max_delivery_attempts <= MAX_ATTEMPTS:
        raise invalid(
            f"Invalid max delivery attempts given (max_delivery_attempts={policy.max_delivery_attempts}). The max "
            f"delivery attempts must be between {MIN_ATTEMPTS} and {MAX_ATTEMPTS}."
        )


def _complete_retries(policy: Message) -> None:
    for field, default in DEFAULT_BACKOFF.items():
        if not policy.HasField(field):
            getattr(policy, field).seconds = default
        what = field.replace("_", " ")
        words.check_bounds(what, words.seconds(getattr(policy, field)), 0.0, MAX_BACKOFF)
    least, most = words.seconds(policy.minimum_backoff), words.seconds(policy.maximum_backoff)
    if least > most:
        raise invalid(
            f"The minimum backoff ({words.spoken(least)}) must not be longer than the maximum backoff "
            f"({words.spoken(most)})."
        )


def _refuse_what_is_not_done(made: Message) -> None:
    for field, what in _NOT_DONE.items():
        if made.HasField(field):
            raise ApiError("UNIMPLEMENTED", f"{what} is not supported by the local cloud: use push or pull.")
    if made.message_transforms:
        raise ApiError("UNIMPLEMENTED", "Transforming messages (message_transforms) is not supported here.")
