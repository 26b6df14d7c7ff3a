"""One push as bytes: the wrapped JSON or the bare payload, its headers, and which answers acknowledge it.

Owns what goes over the wire. Leaves alone: tokens (push.py gives the header's value), carrying (engines/outgoing.py).
Sources: https://cloud.google.com/pubsub/docs/push (wrapped form, codes that acknowledge), .../docs/payload-unwrapping
(metadata as x-goog-pubsub-* headers, attributes as headers of their own name).
"""

import base64
import re
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from local_cloud.descriptors import Message
from local_cloud.engines.attempt import encode_url
from local_cloud.engines.outgoing import Origin, split_url

#: Answers that acknowledge; any other refuses.
ACKNOWLEDGE = frozenset({102, 200, 201, 202, 204})
#: What a receiver sees as the caller.
USER_AGENT = "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"
#: Attributes that cannot become headers of an unwrapped push: they belong to the connection or to Pub/Sub.
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")


class Form:
    """What all pushes of one subscription share, made once for each of its configurations."""

    __slots__ = ("_attempts", "_bare", "_head", "_metadata", "_subscription", "origin")

    def __init__(self, subscription: Message) -> None:
        push = subscription.push_config
        self.origin, self._head = _head(push.push_endpoint)
        self._subscription = str(subscription.name)
        self._attempts = subscription.HasField("dead_letter_policy")
        self._bare = push.HasField("no_wrapper")
        self._metadata = self._bare and push.no_wrapper.write_metadata

    def request(self, message: Message, attempt: int, authorization: str) -> bytes:
        """A whole HTTP request; `authorization` is the header's value, or empty."""
        head = self._head
        if self._bare:
            body: bytes = message.data
            head += self._headers(message, attempt, signed=bool(authorization)) if self._metadata else ""
        else:
            body = self._wrapped(message, attempt)
            head += "Content-Type: application/json\r\n"
        if authorization:
            head += f"Authorization: {authorization}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

    def _wrapped(self, message: Message, attempt: int) -> bytes:
        published = written(message.publish_time.seconds, message.publish_time.nanos)
        inner: dict[str, object] = {}
        if message.attributes:
            inner["attributes"] = dict(message.attributes)
        if message.data:
            inner["data"] = base64.b64encode(message.data).decode()
        inner["messageId"] = inner["message_id"] = message.message_id
        if message.ordering_key:
            inner["orderingKey"] = message.ordering_key
        inner["publishTime"] = inner["publish_time"] = published
        outer: dict[str, object] = {"message": inner, "subscription": self._subscription}
        if self._attempts:
            outer["deliveryAttempt"] = attempt
        return orjson.dumps(outer)

    def _headers(self, message: Message, attempt: int, *, signed: bool) -> str:
        told = {
            "subscription-name": self._subscription,
            "message-id": message.message_id,
            "publish-time": written(message.publish_time.seconds, message.publish_time.nanos),
        }
        if message.ordering_key:
            told["ordering-key"] = message.ordering_key
        if self._attempts:
            told["delivery-attempt"] = str(attempt)
        lines = [f"x-goog-pubsub-{name}: {value}" for name, value in told.items() if _VALUE.fullmatch(value)]
        for name, value in message.attributes.items():
            lower = name.lower()
            reserved = lower in _OURS or lower.startswith("x-goog-") or (signed and lower == "authorization")
            if not reserved and _TOKEN.fullmatch(name) and _VALUE.fullmatch(value):
                lines.append(f"{name}: {value}")
        return "".join(f"{line}\r\n" for line in lines)


def written(seconds: int, nanos: int) -> str:
    """A Timestamp as JSON has it: without a fraction, or with 3, 6 or 9 digits of it."""
    if not nanos:
        return f"{_second(seconds)}Z"
    fraction = f"{nanos:09}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{_second(seconds)}.{fraction}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _head(endpoint: str) -> tuple[Origin, str]:
    origin, host, path = split_url(encode_url(endpoint))
    lines = (
        f"POST {path} HTTP/1.1", f"Host: {host}", f"User-Agent: {USER_AGENT}", "From: noreply@google.com",
        "Accept: application/json",
    )  # fmt: skip
    return origin, "".join(f"{line}\r\n" for line in lines)
