"""StreamingPull: messages out and acknowledgements in over one stream, as Google's subscribers use it.

Owns the stream's protocol: its first request, flow control, confirmations of exactly-once delivery, answers to
keep-alives. What goes out and what becomes of it is the backlog's. A stream ends with UNAVAILABLE when the cloud stops,
which subscribers take as a reason to open the next one. What a stream has handed out counts as work in flight: a move
of the clock gives subscribers real time to acknowledge before deadlines pass. Source: pubsub.proto's comments.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager

from local_cloud.apis.pubsub.api import API
from local_cloud.apis.pubsub.pull import LONGEST_DEADLINE, malformed, pullable, received
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.consumer import Consumer, Delivery, Refusals
from local_cloud.pubsub.words import DENIED, checked_name
from local_cloud.registry import Call

_Response = message("google.pubsub.v1.StreamingPullResponse")
_Acked = message("google.pubsub.v1.StreamingPullResponse.AcknowledgeConfirmation")
_Modified = message("google.pubsub.v1.StreamingPullResponse.ModifyAckDeadlineConfirmation")

#: The least deadline of a stream.
LEAST_DEADLINE = 10
#: Messages and bytes of one response, and how many messages may wait for the client to take them.
MOST_MESSAGES, MOST_BYTES, MOST_WAITING = 100, 1_000_000, 200
#: From this version of the protocol on, clients want an answer to their empty requests (keep-alives).
ANSWERS_PINGS = 1


class Stream(Consumer):
    """One open stream."""

    def __init__(self, cloud: Cloud, backlog: Backlog, first: Message) -> None:
        most = max(0, first.max_outstanding_messages), max(0, first.max_outstanding_bytes)
        super().__init__(float(first.stream_ack_deadline_seconds), *most)
        self.client = first.client_id
        self._cloud = cloud
        self._backlog = backlog
        self._answers_pings = first.protocol_version >= ANSWERS_PINGS
        self._waiting: deque[Delivery] = deque()
        self._answers: deque[Message] = deque([_Response()])
        self._wake = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False
        self._work: AbstractContextManager[None] | None = None

    def room(self) -> int:
        """As the client's flow control says, and not more than it takes."""
        return min(super().room(), MOST_WAITING - len(self._waiting))

    def deliver(self, deliveries: list[Delivery]) -> None:
        """They wait for the client to take them."""
        self._waiting += deliveries
        self._wake.set()

    def takes(self, size: int) -> None:
        """Work is in flight while something is outstanding."""
        super().takes(size)
        if self._work is None:
            self._work = self._cloud.busy(f"pubsub {self._backlog.name.rpartition('/')[2]}")
            self._work.__enter__()

    def gives(self, size: int) -> None:
        """It is over with the last one."""
        super().gives(size)
        if not self.outstanding:
            self._rest()

    def closed(self, error: ApiError) -> None:
        """The stream fails."""
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Ends the stream with an error."""
        self._error = self._error or error
        self._wake.set()

    def end(self) -> None:
        """Ends the stream: the client has nothing more to say."""
        self._ended = True
        self._wake.set()

    def let_go(self) -> None:
        """The stream is over: what it has not sent is the next one's at once."""
        self._backlog.detach(self)
        self._backlog.put_back(self._waiting)
        self._rest()

    async def responses(self) -> AsyncIterator[Message]:
        """What goes out, until the stream ends."""
        while True:
            while self._answers or self._waiting:
                yield self._with_properties(self._answers.popleft() if self._answers else self._messages())
                self._backlog.pump()
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()

    async def listen(self, requests: AsyncIterator[Message]) -> None:
        """What comes in after the first request, until the client ends."""
        try:
            async for request in requests:
                await self.take(request)
        except Exception as error:
            self.fail(error)
        else:
            self.end()

    async def take(self, request: Message) -> None:
        """One request after the first."""
        for field in ("subscription", "max_outstanding_messages", "max_outstanding_bytes", "protocol_version"):
            if getattr(request, field):
                raise invalid(f"{field} can only be set on the initial StreamingPullRequest.")
        if request.stream_ack_deadline_seconds:
            self.deadline = float(check_deadline(request.stream_ack_deadline_seconds))
        if self._answers_pings and not request.ListFields():
            self._answer(_Response())
        await self.settle(request)

    async def settle(self, request: Message) -> None:
        """Acknowledgements and changed deadlines, and their confirmation where delivery is exactly once."""
        changes = _changes(request)
        if not request.ack_ids and not changes:
            return
        exactly_once = self._backlog.law.exactly_once
        refused = self._backlog.ack(request.ack_ids)
        late = Refusals()
        for seconds, ids in changes.items():
            late.update(self._backlog.modify(ids, seconds))
        if not exactly_once:
            for ack_id in (*refused, *late):
                raise malformed(ack_id)
            return
        await self._cloud.store.committed()
        if request.ack_ids:
            good, bad, unordered = _sorted(request.ack_ids, refused)
            self._answer(
                _Response(
                    acknowledge_confirmation=_Acked(ack_ids=good, invalid_ack_ids=bad, unordered_ack_ids=unordered)
                )
            )
        if changes:
            good, bad, _ = _sorted(request.modify_deadline_ack_ids, late)
            self._answer(_Response(modify_ack_deadline_confirmation=_Modified(ack_ids=good, invalid_ack_ids=bad)))

    def _rest(self) -> None:
        if self._work is not None:
            self._work.__exit__(None, None, None)
            self._work = None

    def _answer(self, response: Message) -> None:
        self._answers.append(response)
        self._wake.set()

    def _messages(self) -> Message:
        """As many of the waiting messages as make one response."""
        taken: list[Delivery] = []
        size = 0
        while self._waiting and len(taken) < MOST_MESSAGES and size < MOST_BYTES:
            taken.append(self._waiting.popleft())
            size += taken[-1].size
        return _Response(received_messages=received(self._backlog, taken))

    def _with_properties(self, response: Message) -> Message:
        response.subscription_properties.exactly_once_delivery_enabled = self._backlog.law.exactly_once
        response.subscription_properties.message_ordering_enabled = self._backlog.law.ordered
        return response


@API.rpc("StreamingPull")
async def streaming_pull(cloud: Cloud, call: Call, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """One stream, from its first request on."""
    first = await anext(aiter(requests), None)
    if first is None or not first.subscription:
        raise invalid("The initial StreamingPullRequest must name a subscription (argument=subscription).")
    name = checked_name(cloud, first.subscription, "subscriptions")
    cloud.iam.require(call.principal, "pubsub.subscriptions.consume", name, DENIED)
    check_deadline(first.stream_ack_deadline_seconds)
    backlog = pullable(cloud, name)
    stream = Stream(cloud, backlog, first)
    await stream.settle(first)
    listening = asyncio.ensure_future(stream.listen(requests))
    backlog.attach(stream)
    try:
        async for response in stream.responses():
            yield response
    finally:
        stream.let_go()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


def check_deadline(seconds: int) -> int:
    """What a stream's deadline may be."""
    if not LEAST_DEADLINE <= seconds <= LONGEST_DEADLINE:
        raise invalid(
            f"Invalid ack deadline given (ack_deadline={seconds}). The ack deadline must be between {LEAST_DEADLINE} "
            f"and {LONGEST_DEADLINE} seconds."
        )
    return seconds


def _changes(request: Message) -> dict[int, list[str]]:
    """The deadlines that a request changes, by their length."""
    ids, lengths = request.modify_deadline_ack_ids, request.modify_deadline_seconds
    if len(ids) != len(lengths):
        raise invalid(
            "You have passed an invalid argument to the service (argument=modify_deadline_seconds): there must be as "
            f"many as modify_deadline_ack_ids ({len(ids)}), and there are {len(lengths)}."
        )
    changes: dict[int, list[str]] = {}
    for ack_id, seconds in zip(ids, lengths, strict=True):
        if not 0 <= seconds <= LONGEST_DEADLINE:
            raise invalid(f"Invalid ack deadline given (ack_deadline={seconds}).")
        changes.setdefault(seconds, []).append(ack_id)
    return changes


def _sorted(ids: Iterable[str], refused: Refusals) -> tuple[list[str], list[str], list[str]]:
    """Ack ids that were taken, that do not hold, and that came out of order."""
    return (
        [ack_id for ack_id in ids if ack_id not in refused],
        [ack_id for ack_id in ids if refused.get(ack_id) == Refusals.INVALID],
        [ack_id for ack_id in ids if refused.get(ack_id) == Refusals.UNORDERED],
    )
