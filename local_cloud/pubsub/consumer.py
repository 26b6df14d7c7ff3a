"""Who takes messages from a backlog: a pull, a stream, a push loop; and what is handed to it.

Owns the window (how much may be outstanding) and the delivery. When to hand out what is the backlog's (backlog.py).
"""

from collections import deque
from functools import cache

from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError


@cache
def _message() -> type[Message]:
    return message("google.pubsub.v1.PubsubMessage")


class Delivery:
    """One message handed out: under which ack id, and the how-manieth time."""

    __slots__ = ("ack_id", "attempt", "raw", "size")

    def __init__(self, ack_id: str, attempt: int, raw: bytes) -> None:
        self.ack_id = ack_id
        #: Counted always; Google shows it only where there is a dead letter policy.
        self.attempt = attempt
        #: The serialized PubsubMessage.
        self.raw = raw
        self.size = len(raw)

    def message(self) -> Message:
        """The PubsubMessage."""
        return _message().FromString(self.raw)


class Consumer:
    """Subclass it: `deliver` gets messages while there is room in the window."""

    #: How metrics call this way of delivery: pull, streaming pull or push.
    kind = "pull"
    #: One message of an ordering key at a time, as push delivers; without it a consumer may hold several, in order.
    one_per_key = False

    #: Who it is, where it may go away and come back: the next consumer of that name takes over what this one holds.
    client = ""

    def __init__(self, deadline: float, max_messages: int = 0, max_bytes: int = 0) -> None:
        #: How long a message is leased for, in seconds.
        self.deadline = deadline
        #: How much may be outstanding; 0: no limit. After changing them: backlog.pump().
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        #: What is outstanding; counted by the backlog.
        self.outstanding = 0
        self.outstanding_bytes = 0
        #: Ordering keys of which this consumer holds some, and more wait.
        self.keys: deque[str] = deque()

    def room(self) -> int:
        """How many more messages it takes now."""
        if self.max_bytes and self.outstanding_bytes >= self.max_bytes:
            return 0
        return self.max_messages - self.outstanding if self.max_messages else 1000

    def takes(self, size: int) -> None:
        """One more message is leased to it; called by the backlog."""
        self.outstanding += 1
        self.outstanding_bytes += size

    def gives(self, size: int) -> None:
        """A lease of its is over, for whatever reason; called by the backlog."""
        self.outstanding -= 1
        self.outstanding_bytes -= size

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Messages for it; called on the loop, must not block."""
        raise NotImplementedError

    def closed(self, error: ApiError) -> None:
        """The backlog is no longer there for it: deleted, detached, or changed between push and pull."""


class Refusals(dict[str, str]):
    """Ack ids that were not taken, each with the reason as Google's ErrorInfo metadata words it."""

    #: No lease of this id holds (any more).
    INVALID = "PERMANENT_FAILURE_INVALID_ACK_ID"
    #: With exactly-once delivery and ordering: an earlier message of the key is not acknowledged yet.
    UNORDERED = "TRANSIENT_FAILURE_UNORDERED_ACK_ID"
