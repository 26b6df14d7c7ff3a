"""Pull, Acknowledge and ModifyAckDeadline: the unary way to a backlog.

Owns what these three take and answer; leases and redelivery are the backlog's (local_cloud/pubsub/backlog.py). A pull
waits for a message for a bounded time of the cloud's clock, and answers with none after that. Sources: pubsub.proto,
the pages on pull subscriptions and exactly-once delivery.
"""

import asyncio
from collections.abc import Iterable

from local_cloud.apis.pubsub.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, error_info, failed_precondition, invalid
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.consumer import Consumer, Delivery, Refusals
from local_cloud.pubsub.state import PubSub, is_detached
from local_cloud.pubsub.words import checked_name, no_such
from local_cloud.registry import Call

_PullResponse = message("google.pubsub.v1.PullResponse")
_Received = message("google.pubsub.v1.ReceivedMessage")
_Empty = message("google.protobuf.Empty")

#: How long a pull waits for a first message: longer than that, and Google answers with none, too.
PATIENCE = 30.0
#: The most messages and bytes of one answer: clients of an emulator read 4 MiB at most unless told otherwise. A larger
#: message comes alone.
MOST_MESSAGES, MOST_BYTES = 1000, 3_500_000
#: A deadline is at most so many seconds from now.
LONGEST_DEADLINE = 600
#: How Google words ack ids that do not hold, with exactly-once delivery.
REFUSED = (
    "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids have expired "
    "or the acknowledgement ids were malformed."
)
UNORDERED = "Some acknowledgement ids in the request were sent out of order."


class _Puller(Consumer):
    """Takes what there is at once, or the first that comes."""

    def __init__(self, deadline: float, most: int) -> None:
        super().__init__(deadline, min(most, MOST_MESSAGES), MOST_BYTES)
        self.got: list[Delivery] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def room(self) -> int:
        """Nothing any more when the wait is over."""
        return 0 if self.over.done() else super().room()

    def deliver(self, deliveries: list[Delivery]) -> None:
        """The first ones end the wait."""
        self.got += deliveries
        asyncio.get_running_loop().call_soon(self.end)  # the backlog may have more in this same turn

    def end(self) -> None:
        """Nothing more is waited for."""
        if not self.over.done():
            self.over.set_result(None)

    def closed(self, error: ApiError) -> None:
        """The pull fails."""
        if not self.over.done():
            self.over.set_exception(error)


def backlog_of(cloud: Cloud, name: str) -> Backlog:
    """The backlog that may be pulled from; the subscription's name, or why there is nothing to pull."""
    pubsub = cloud.use(PubSub)
    name = checked_name(cloud, name, "subscriptions")
    found = pubsub.backlogs.get(name)
    if found is None:
        raise is_detached(name) if name in pubsub.subscriptions else no_such(name)
    return found


def pullable(cloud: Cloud, name: str) -> Backlog:
    """A backlog that nobody else delivers."""
    found = backlog_of(cloud, name)
    if found.law.pushes:
        raise failed_precondition("This method is not supported for this subscription type.")
    return found


def received(backlog: Backlog, deliveries: Iterable[Delivery]) -> list[Message]:
    """Deliveries as a client gets them; the attempt is told only where there is a dead letter policy."""
    counted = bool(backlog.law.max_attempts)
    return [
        _Received(ack_id=d.ack_id, message=d.message(), delivery_attempt=d.attempt if counted else 0)
        for d in deliveries
    ]


@API.rpc("Pull", permission="pubsub.subscriptions.consume", waits=True)
async def pull(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Answers with what there is, or with the first messages that come."""
    backlog = pullable(cloud, request.subscription)
    if request.max_messages <= 0:
        raise invalid(
            f"You have passed an invalid argument to the service (argument=max_messages): {request.max_messages}; it "
            "must be a positive number."
        )
    puller = _Puller(backlog.law.deadline, request.max_messages)
    backlog.attach(puller)
    if request.return_immediately:
        puller.end()
    timer = cloud.clock.call_later(PATIENCE, puller.end)
    try:
        await puller.over
    except asyncio.CancelledError:  # the caller is gone: what it would have got is the next one's at once
        backlog.put_back(puller.got)
        raise
    finally:
        timer.cancel()
        backlog.detach(puller)
    return _PullResponse(received_messages=received(backlog, puller.got))


@API.rpc("Acknowledge", permission="pubsub.subscriptions.consume")
async def acknowledge(cloud: Cloud, _call: Call, request: Message) -> Message:
    """With exactly-once delivery it answers when the acknowledgements are on disk."""
    backlog = backlog_of(cloud, request.subscription)
    check_ids(request.ack_ids)
    await confirm(cloud, backlog, backlog.ack(request.ack_ids))
    return _Empty()


@API.rpc("ModifyAckDeadline", permission="pubsub.subscriptions.consume")
async def modify_ack_deadline(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Changes deadlines; 0 gives messages back."""
    backlog = backlog_of(cloud, request.subscription)
    check_ids(request.ack_ids)
    check_deadline(request.ack_deadline_seconds)
    await confirm(cloud, backlog, backlog.modify(request.ack_ids, request.ack_deadline_seconds))
    return _Empty()


def check_ids(ids: list[str]) -> None:
    """A request must name deliveries."""
    if not ids:
        raise invalid("You have passed an invalid argument to the service (argument=ack_ids).")


def check_deadline(seconds: int) -> None:
    """What a deadline may be."""
    if not 0 <= seconds <= LONGEST_DEADLINE:
        raise invalid(
            f"Invalid ack deadline given (ack_deadline={seconds}). The ack deadline must be between 0 and "
            f"{LONGEST_DEADLINE} seconds."
        )


async def confirm(cloud: Cloud, backlog: Backlog, refused: Refusals) -> None:
    """Says of each ack id that was not taken why; the others of the request were."""
    if not refused:
        return
    if not backlog.law.exactly_once:
        raise malformed(next(iter(refused)))
    await cloud.store.committed()  # the refusal confirms what it does not name
    permanent = any(reason == Refusals.INVALID for reason in refused.values())
    info = error_info("EXACTLY_ONCE_ACKID_FAILURE", "pubsub.googleapis.com", refused)
    if permanent:
        raise ApiError("INVALID_ARGUMENT", REFUSED, info)
    raise ApiError("FAILED_PRECONDITION", UNORDERED, info)


def malformed(ack_id: str) -> ApiError:
    """An ack id that is none, or another subscription's."""
    return invalid(f"You have passed an invalid ack ID to the service (ack_id={ack_id}).")
