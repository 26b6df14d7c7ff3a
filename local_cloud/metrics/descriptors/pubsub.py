"""The metrics of Pub/Sub that are counted. Source: https://cloud.google.com/monitoring/api/metrics_gcp (pubsub)."""

from local_cloud.metrics.descriptors.model import LAG, Metric
from local_cloud.metrics.distribution import exponential

_TOPIC, _SUBSCRIPTION = ("pubsub_topic",), ("pubsub_subscription",)
_CODE = ("response_code", "Operation response code string, derived as a string representation of a status code (e.g., "
         "'success', 'not_found', 'unavailable').")  # fmt: skip
_CLASS = ("response_class", "A classification group for the response code. It can be one of ['success', 'invalid', "
          "'internal'].")  # fmt: skip
_PUSHED = ("response_class", "A classification group for the response code. It can be one of ['ack', "
           "'deadline_exceeded', 'internal', 'invalid', 'remote_server_4xx', 'remote_server_5xx', "
           "'unreachable'].")  # fmt: skip
_HOW = ("delivery_type", "Delivery mechanism: push, pull or streaming pull.")
_PUSH = ("delivery_type", "Push delivery mechanism.")
_BYTES = exponential(40, 2.0, 1.0)
_MICROSECONDS = exponential(80, 1.4, 1.0)
_BACKLOG = "(a.k.a. backlog messages) in a subscription."


def _of_topics(path: str, name: str, text: str, labels: tuple[tuple[str, str], ...], lag: int) -> Metric:
    return Metric(f"pubsub.googleapis.com/topic/{path}", "DELTA", "INT64", "1", name, f"{text} {LAG}", _TOPIC, labels,
                  lag=lag)  # fmt: skip


def _counted(path: str, name: str, text: str, labels: tuple[tuple[str, str], ...], lag: int) -> Metric:
    return Metric(f"pubsub.googleapis.com/subscription/{path}", "DELTA", "INT64", "1", name, f"{text} {LAG}",
                  _SUBSCRIPTION, labels, lag=lag)  # fmt: skip


def _gauge(path: str, unit: str, name: str, text: str, lag: int = 120) -> Metric:
    return Metric(f"pubsub.googleapis.com/subscription/{path}", "GAUGE", "INT64", unit, name, f"{text} {LAG}",
                  _SUBSCRIPTION, lag=lag)  # fmt: skip


METRICS = (
    _of_topics("send_request_count", "Publish requests", "Cumulative count of publish requests, grouped by result.",
               (_CLASS, _CODE), 181),
    _of_topics("send_message_operation_count", "Publish message operations", "Cumulative count of publish message "
               "operations, grouped by result. This metric is deprecated. Apply a count aggregator on "
               "topic/message_sizes instead.", (_CODE,), 240),
    Metric("pubsub.googleapis.com/topic/message_sizes", "DELTA", "DISTRIBUTION", "By", "Publish message size",
           f"Distribution of publish message sizes (in bytes). {LAG}", _TOPIC, buckets=_BYTES, lag=181),
    _gauge("num_undelivered_messages", "1", "Unacked messages", f"Number of unacknowledged messages {_BACKLOG}"),
    _gauge("oldest_unacked_message_age", "s", "Oldest unacked message age",
           "Age (in seconds) of the oldest unacknowledged message (a.k.a. backlog message) in a subscription."),
    _gauge("backlog_bytes", "By", "Backlog size", f"Total byte size of the unacknowledged messages {_BACKLOG}"),
    _gauge("num_outstanding_messages", "1", "Outstanding push messages", "Number of messages delivered to a "
           "subscription's push endpoint, but not yet acknowledged.", 240),
    _counted("push_request_count", "Push requests", "Cumulative count of push attempts, grouped by result. Unlike "
             "pulls, the push server implementation does not batch user messages. So each request only contains one "
             "user message. The push server retries on errors, so a given user message can appear multiple times.",
             (_PUSHED, _CODE, _PUSH), 120),
    Metric("pubsub.googleapis.com/subscription/push_request_latencies", "DELTA", "DISTRIBUTION", "us", "Push latency",
           f"Distribution of push request latencies (in microseconds), grouped by result. {LAG}", _SUBSCRIPTION,
           (_CODE, _PUSH), buckets=_MICROSECONDS, lag=240),
    _counted("pull_request_count", "Pull requests", "Cumulative count of pull requests, grouped by result.",
             (_CLASS, _CODE), 120),
    _counted("pull_ack_request_count", "Acknowledge requests",
             "Cumulative count of acknowledge requests, grouped by result.", (_CLASS, _CODE), 181),
    _counted("mod_ack_deadline_request_count", "ModifyAckDeadline requests",
             "Cumulative count of ModifyAckDeadline requests, grouped by result.", (_CLASS, _CODE), 120),
    _counted("seek_request_count", "Seek requests", "Cumulative count of seek attempts, grouped by result.",
             (_CODE,), 240),
    _counted("sent_message_count", "Sent message count", "Cumulative count of messages sent by Cloud Pub/Sub to "
             "subscriber clients, grouped by delivery type.", (_HOW,), 181),
    _counted("ack_message_count", "Ack message count", "Cumulative count of messages acknowledged by Acknowledge "
             "requests, grouped by delivery type. Dead-lettered messages may show up as pull acks.",
             (("delivery_type", "Delivery mechanism: push, pull, streaming pull, or filter."),), 181),
    _counted("mod_ack_deadline_message_count", "Mod ack deadline message count", "Cumulative count of messages whose "
             "deadline was updated by ModifyAckDeadline requests, grouped by delivery type.", (_HOW,), 240),
    _counted("expired_ack_deadlines_count", "Expired ack deadlines count", "Cumulative count of messages whose ack "
             "deadline expired while the message was outstanding to a subscriber client.", (_HOW,), 240),
    _counted("dead_letter_message_count", "Dead letter message count", "Cumulative count of messages published to "
             "dead letter topic, grouped by result.", (_CODE,), 240),
)  # fmt: skip
