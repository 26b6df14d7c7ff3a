"""StreamingPull: by the official subscriber, and request by request as other languages' clients may send them."""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.cloud import pubsub_v1  # type: ignore[attr-defined]
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeStatus  # type: ignore[import-untyped]
from google.pubsub_v1.types import StreamingPullRequest, StreamingPullResponse

from tests.fidelity import pins
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.conftest import Process
from tests.local_cloud.pubsub.clients import Clients

STREAMING_PULL = "/google.pubsub.v1.Subscriber/StreamingPull"
PATIENCE = 30


class Stream:
    """One stream, spoken by hand."""

    def __init__(self, place: Place, first: dict[str, Any], token: str = "") -> None:
        door = "service_grpc" if token else "grpc"
        self.channel = grpc.insecure_channel(f"127.0.0.1:{place.ports[door]}")
        self._requests: queue.SimpleQueue[StreamingPullRequest | None] = queue.SimpleQueue()
        self.send(**{"stream_ack_deadline_seconds": 10, **first})
        call: Any = self.channel.stream_stream(
            STREAMING_PULL, StreamingPullRequest.serialize, StreamingPullResponse.deserialize
        )
        metadata = [("authorization", f"Bearer {token}")] if token else None
        self.call: Any = call(iter(self._requests.get, None), metadata=metadata, timeout=PATIENCE)

    def send(self, **request: Any) -> None:
        self._requests.put(StreamingPullRequest(**request))

    def next(self) -> StreamingPullResponse:
        """The next response."""
        response: StreamingPullResponse = next(self.call)
        return response

    def messages(self, count: int) -> list[Any]:
        """The next so many messages."""
        got: list[Any] = []
        while len(got) < count:
            got += self.next().received_messages
        return got

    def error(self) -> tuple[grpc.StatusCode, str]:
        """How it ends."""
        try:
            while True:
                self.next()
        except grpc.RpcError:
            return self.call.code(), self.call.details()

    def close(self) -> None:
        self._requests.put(None)
        self.channel.close()


@pytest.fixture
def stream(place: Place) -> Iterator[Callable[..., Stream]]:
    """Opens streams that end with the test."""
    opened: list[Stream] = []

    def open_(subscription: str, token: str = "", **first: Any) -> Stream:
        made = Stream(place, {"subscription": subscription, **first}, token)
        opened.append(made)
        return made

    yield open_
    for made in opened:
        made.close()


class Subscribed:
    """The official subscriber at work: what came, in order."""

    def __init__(self, clients: Clients, subscription: str, act: Callable[[Any], object], **control: Any) -> None:
        self.client = clients.another_subscriber()
        self.came: queue.SimpleQueue[str] = queue.SimpleQueue()

        def callback(received: Any) -> None:
            act(received)
            self.came.put(received.data.decode())

        flow = pubsub_v1.types.FlowControl(**control)
        self.future = self.client.subscribe(subscription, callback, flow_control=flow)

    def __enter__(self) -> "Subscribed":
        return self

    def __exit__(self, *_: object) -> None:
        self.future.cancel()
        self.future.result(PATIENCE)

    def take(self, count: int) -> list[str]:
        """The next so many messages' bodies."""
        return [self.came.get(timeout=PATIENCE) for _ in range(count)]


@pins(
    "pubsub",
    "Pull",
    "The official subscriber gets every message once and acknowledges it, with flow control, in at-least-once and "
    "exactly-once delivery",
    documented="StreamingPull",
)
@pytest.mark.parametrize("exactly_once", [False, True])
def test_the_official_subscriber_takes_everything(clients: Clients, exactly_once: bool) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, enable_exactly_once_delivery=exactly_once)
    sent = [str(number) for number in range(60)]
    clients.send(topic, *sent[:30])

    def act(received: Any) -> None:
        if exactly_once:
            assert received.ack_with_response().result(PATIENCE) is AcknowledgeStatus.SUCCESS
        else:
            received.ack()

    with Subscribed(clients, subscription, act, max_messages=7) as subscribed:
        first = subscribed.take(30)
        clients.send(topic, *sent[30:])
        assert sorted(first + subscribed.take(30), key=int) == sent
        rests(clients, subscription)
    clients.advance(601)
    assert clients.data(subscription) == []


def rests(clients: Clients, subscription: str) -> None:
    """Waits until all is acknowledged."""
    backlog = clients.core().backlogs[subscription]
    while backlog.stats().undelivered:
        threading.Event().wait(0.002)


@pins(
    "pubsub",
    "Ordering",
    "The official subscriber gets the messages of each key in order, the refused one and its followers again",
    documented="Order messages page",
)
def test_the_official_subscriber_keeps_the_order_over_a_refusal(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, enable_message_ordering=True)
    refused: list[str] = []

    def act(received: Any) -> None:
        if received.data == b"a2" and not refused:
            refused.append("a2")
            received.nack()
        else:
            received.ack()

    clients.send(topic, "a1", "a2", "a3", key="a")
    clients.send(topic, "b1", "b2", key="b")
    with Subscribed(clients, subscription, act) as subscribed:
        came = subscribed.take(5)
        while [one for one in came if one[0] == "a"][-1] != "a3" or came.count("a2") < 2:
            came += subscribed.take(1)
        rests(clients, subscription)
    ours = [one for one in came if one[0] == "a"]
    after = ours[len(ours) - 1 - ours[::-1].index("a2") :]
    assert ours[:2] == ["a1", "a2"]
    assert after == ["a2", "a3"]
    assert [one for one in came if one[0] == "b"] == ["b1", "b2"]


@pins(
    "pubsub",
    "Pull",
    "A stream has at most max_outstanding_messages and about max_outstanding_bytes outstanding; the next come when "
    "some are settled",
    documented="StreamingPullRequest",
)
def test_flow_control_holds_back(clients: Clients, stream: Callable[..., Stream]) -> None:
    topic = clients.topic()
    limits: list[tuple[int, dict[str, int]]] = [
        (3, {"max_outstanding_messages": 3}),
        (2, {"max_outstanding_bytes": 250}),
    ]
    for most, limit in limits:
        subscription = clients.subscription(topic)
        clients.send(topic, *("x" * 100 for _ in range(8)))
        one = stream(subscription, **limit)
        got = one.messages(most)
        backlog = clients.core().backlogs[subscription]
        assert (len(got), backlog.stats().outstanding) == (most, most)
        one.send(ack_ids=[got[0].ack_id], modify_deadline_ack_ids=[got[1].ack_id], modify_deadline_seconds=[0])
        assert len(one.messages(2)) == 2
        assert backlog.stats().outstanding == most


@pins(
    "pubsub",
    "Pull",
    "Every response carries subscription_properties; with exactly-once delivery acknowledgements and deadlines are "
    "confirmed on the stream, once they are on disk, and what does not hold is listed",
    documented="StreamingPullResponse",
)
def test_a_stream_confirms_with_exactly_once_delivery(clients: Clients, stream: Callable[..., Stream]) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, enable_exactly_once_delivery=True, enable_message_ordering=True)
    clients.send(topic, "1", "2", key="k")
    one = stream(subscription)
    properties = one.next().subscription_properties
    assert properties.exactly_once_delivery_enabled
    assert properties.message_ordering_enabled
    first, second = one.messages(2)
    one.send(modify_deadline_ack_ids=[first.ack_id, "none"], modify_deadline_seconds=[30, 30])
    changed = one.next().modify_ack_deadline_confirmation
    assert (list(changed.ack_ids), list(changed.invalid_ack_ids)) == ([first.ack_id], ["none"])
    one.send(ack_ids=[second.ack_id, "none"])
    done = one.next().acknowledge_confirmation
    assert (list(done.unordered_ack_ids), list(done.invalid_ack_ids)) == ([second.ack_id], ["none"])
    one.send(ack_ids=[first.ack_id, second.ack_id])
    assert list(one.next().acknowledge_confirmation.ack_ids) == [first.ack_id, second.ack_id]


@pins(
    "pubsub",
    "Pull",
    "With protocol_version 1 an empty request is answered with an empty response (keep-alive)",
    observed="Google's clients: a pong within 15 s of each ping",
)
def test_keep_alives_are_answered(clients: Clients, stream: Callable[..., Stream]) -> None:
    one = stream(clients.subscription(clients.topic()), protocol_version=1)
    assert not one.next().received_messages
    one.send()
    assert one.next().subscription_properties == StreamingPullResponse.SubscriptionProperties()


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no subscription": ({"subscription": ""}, {}),
    "too short a deadline": ({"stream_ack_deadline_seconds": 9}, {}),
    "too long a deadline": ({"stream_ack_deadline_seconds": 601}, {}),
    "the subscription again": ({}, {"subscription": "projects/p/subscriptions/s"}),
    "another flow control": ({}, {"max_outstanding_messages": 1}),
    "another deadline too short": ({}, {"stream_ack_deadline_seconds": 1}),
    "no ack id": ({}, {"ack_ids": ["nonsense"]}),
    "a deadline missing": ({}, {"modify_deadline_ack_ids": ["a"]}),
    "a deadline below 0": ({}, {"modify_deadline_ack_ids": ["a"], "modify_deadline_seconds": [-1]}),
}


@pins(
    "pubsub",
    "Pull",
    "A stream ends with INVALID_ARGUMENT where its first request lacks subscription or deadline (10 to 600 s), a later "
    "one sets what only the first may, or names no ack ids of ours",
    documented="StreamingPullRequest",
)
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_ends_the_stream(clients: Clients, stream: Callable[..., Stream], what: str) -> None:
    first, later = WRONG[what]
    one = stream(**{"subscription": clients.subscription(clients.topic()), **first})
    if later:
        one.next()
        one.send(**later)
    assert one.error()[0] is grpc.StatusCode.INVALID_ARGUMENT


@pins(
    "pubsub",
    "Pull",
    "A stream needs pubsub.subscriptions.consume, and ends with NOT_FOUND when its subscription is deleted",
    documented="Access control, StreamingPull",
)
def test_who_may_stream_and_until_when(clients: Clients, place: Place, stream: Callable[..., Stream]) -> None:
    subscription = clients.subscription(clients.topic())

    async def token(cloud: Any) -> str:
        from local_cloud.descriptors import message

        email = f"streamer@{cloud.iam.accounts.domain}"
        cloud.iam.accounts.create("streamer", message("google.iam.admin.v1.ServiceAccount")())
        made: str = cloud.identity.access_token(f"serviceAccount:{email}").token
        return made

    refused = stream(subscription, token=place.do(token))
    code, text = refused.error()
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert text.startswith("User not authorized to perform this action.")
    one = stream(subscription)
    one.next()
    clients.subscriber.delete_subscription(subscription=subscription)
    assert one.error()[0] is grpc.StatusCode.NOT_FOUND


@pins("pubsub", "Pull", "Streams of one subscription share its messages", documented="Load balancing")
def test_streams_share_the_load(clients: Clients, stream: Callable[..., Stream]) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    both = [stream(subscription, max_outstanding_messages=10) for _ in range(2)]
    for one in both:
        one.next()
    clients.send(topic, *(str(number) for number in range(20)))
    came = [received.message.data for one in both for received in one.messages(10)]
    assert sorted(came, key=int) == [str(number).encode() for number in range(20)]


@pins(
    "pubsub",
    "Pull",
    "A move of the clock gives streams real time to acknowledge what they were handed before its deadline passes",
    ours="the clock's law: work in flight is waited for",
)
def test_a_move_of_the_clock_waits_for_what_is_handed_out(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    with Subscribed(clients, subscription, lambda received: received.ack()) as subscribed:
        clients.send(topic, "1", "2", "3")
        clients.advance(3600)
        assert sorted(subscribed.take(3)) == ["1", "2", "3"]
        rests(clients, subscription)
        assert subscribed.came.empty()


@pins(
    "pubsub",
    "Pull",
    "A stream ends with UNAVAILABLE when the cloud stops or is killed, which subscribers take as a reason to open the "
    "next one; what was not acknowledged comes again then",
    documented="StreamingPull page",
)
def test_a_stream_ends_so_that_it_is_opened_again(start: Callable[..., Process]) -> None:
    topic = subscription = ""
    for how in (signal.SIGTERM, signal.SIGKILL):
        process = start()
        place = Place(process.ports)
        clients = Clients(place)
        if not topic:
            topic = clients.topic()
            subscription = clients.subscription(topic)
            clients.send(topic, "one")
        stream = Stream(place, {"subscription": subscription})
        assert [one.message.data for one in stream.messages(1)] == [b"one"]
        process.stop(how)
        assert stream.error()[0] is grpc.StatusCode.UNAVAILABLE
        stream.close()
        clients.close()
