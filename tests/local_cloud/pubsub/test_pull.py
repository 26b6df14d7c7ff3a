"""Pull, Acknowledge, ModifyAckDeadline by the official client: leases, redelivery, backoff, exactly once, order."""

import threading
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2
from google.pubsub_v1.types import PullRequest
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]

from tests.fidelity import pins
from tests.local_cloud.pubsub.clients import Clients


def refused(error: exceptions.GoogleAPICallError) -> dict[str, str]:
    """The ack ids that an error names, with the reasons."""
    info = next(detail for detail in error.details if isinstance(detail, ErrorInfo))
    assert info.domain == "pubsub.googleapis.com"
    return dict(info.metadata)


@pins(
    "pubsub",
    "Pull",
    "A message that is not acknowledged within its deadline comes again; one that is does not; a deadline of 0 gives "
    "it back at once, a longer one keeps it",
    documented="Lease management page",
)
def test_a_message_is_leased_until_its_deadline(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, ack_deadline_seconds=20)
    clients.send(topic, "acked", "kept", "refused", "forgotten")
    got = {one.message.data.decode(): one for one in clients.pull(subscription)}
    clients.ack(subscription, got["acked"])
    clients.extend(subscription, 60, got["kept"])
    clients.nack(subscription, got["refused"])
    again = clients.pull(subscription)
    assert [one.message.data for one in again] == [b"refused"]
    assert again[0].message.message_id == got["refused"].message.message_id
    clients.ack(subscription, *again)
    clients.advance(19)
    assert clients.data(subscription) == []
    clients.advance(2)
    assert clients.data(subscription) == ["forgotten"]
    clients.advance(40)
    assert sorted(clients.data(subscription)) == ["forgotten", "kept"]


@pins(
    "pubsub",
    "Pull",
    "A pull waits for a first message, and answers with none after 30 s; return_immediately does not wait",
    documented="PullRequest",
    ours="the 30 s",
)
def test_a_pull_waits_for_a_message(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    answers: list[list[Any]] = []

    def wait() -> None:
        got = list(clients.subscriber.pull(subscription=subscription, max_messages=5).received_messages)
        answers.append(got)
        if got:
            clients.ack(subscription, *got)

    for come in ("by a message", "by the clock"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        until_pulling(clients, subscription)
        if come == "by a message":
            clients.send(topic, "news")
        else:
            clients.advance(31)
        waiter.join()
    assert [[one.message.data for one in answer] for answer in answers] == [[b"news"], []]


def until_pulling(clients: Clients, subscription: str) -> None:
    """Waits until somebody stands at the backlog."""
    backlog = clients.core().backlogs[subscription]
    while not backlog.consumers:
        threading.Event().wait(0.002)


@pins(
    "pubsub",
    "Pull",
    "At least once: an ack id of an earlier lease still acknowledges, and one that was used is no error",
    documented="AcknowledgeRequest",
)
def test_an_old_ack_id_still_acknowledges(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    clients.send(topic, "one")
    first = clients.pull(subscription)
    clients.advance(11)
    second = clients.pull(subscription)
    assert second[0].ack_id != first[0].ack_id
    clients.ack(subscription, *first)
    clients.ack(subscription, *first)
    clients.advance(11)
    assert clients.data(subscription) == []


@pins(
    "pubsub",
    "Pull",
    "An ack id that is none, or another subscription's, is INVALID_ARGUMENT",
    observed="words of the real service",
)
def test_what_is_no_ack_id_is_refused(clients: Clients) -> None:
    topic = clients.topic()
    subscription, other = clients.subscription(topic), clients.subscription(topic)
    clients.send(topic, "one")
    foreign = clients.pull(other)[0].ack_id
    for ack_id in ("nonsense", "SLUICE!", foreign):
        with pytest.raises(exceptions.InvalidArgument, match="invalid ack ID to the service"):
            clients.subscriber.acknowledge(subscription=subscription, ack_ids=[ack_id])
    with pytest.raises(exceptions.InvalidArgument):
        clients.subscriber.acknowledge(subscription=subscription, ack_ids=[])
    with pytest.raises(exceptions.InvalidArgument, match="between 0 and 600"):
        clients.subscriber.modify_ack_deadline(subscription=subscription, ack_ids=[foreign], ack_deadline_seconds=601)


@pins(
    "pubsub",
    "Pull",
    "Exactly once: only the latest ack id holds, until its deadline; others fail with INVALID_ARGUMENT and an "
    "ErrorInfo that says PERMANENT_FAILURE_INVALID_ACK_ID of each, while the rest of the request is done",
    documented="Exactly-once delivery page",
)
def test_exactly_once_takes_only_the_latest_ack_id(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, enable_exactly_once_delivery=True)
    clients.send(topic, "late", "in time")
    late, in_time = clients.pull(subscription)
    clients.extend(subscription, 60, in_time)
    clients.advance(11)
    for call in (clients.ack, lambda *them: clients.extend(them[0], 30, *them[1:])):
        with pytest.raises(exceptions.InvalidArgument, match="Some acknowledgement ids") as failed:
            call(subscription, late, in_time)
        reasons = refused(failed.value)
        assert reasons[late.ack_id] == "PERMANENT_FAILURE_INVALID_ACK_ID"
    assert set(reasons) == {late.ack_id, in_time.ack_id}  # it was acknowledged by the first of the two calls
    again = clients.pull(subscription)
    assert [one.message.data for one in again] == [b"late"]
    clients.ack(subscription, *again)
    clients.advance(61)
    assert clients.data(subscription) == []


@pins(
    "pubsub",
    "Ordering",
    "Exactly once and ordered: an acknowledgement before its turn fails with TRANSIENT_FAILURE_UNORDERED_ACK_ID",
    documented="Exactly-once delivery page",
)
def test_exactly_once_in_order_wants_acknowledgements_in_order(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, enable_exactly_once_delivery=True, enable_message_ordering=True)
    clients.send(topic, "1", "2", key="k")
    first, second = clients.pull(subscription)
    with pytest.raises(exceptions.FailedPrecondition) as failed:
        clients.ack(subscription, second)
    assert refused(failed.value) == {second.ack_id: "TRANSIENT_FAILURE_UNORDERED_ACK_ID"}
    clients.ack(subscription, first)
    clients.ack(subscription, second)
    clients.advance(11)
    assert clients.data(subscription) == []


@pins(
    "pubsub",
    "Pull",
    "A retry policy delays each further delivery of a message, from minimum_backoff doubling to maximum_backoff; "
    "without one it is at once",
    documented="Handle message failures page",
)
def test_backoff_doubles_from_the_least_to_the_most(clients: Clients) -> None:
    topic = clients.topic()
    backoff = {
        "minimum_backoff": duration_pb2.Duration(seconds=10),
        "maximum_backoff": duration_pb2.Duration(seconds=60),
    }
    subscription = clients.subscription(topic, retry_policy=backoff)
    clients.send(topic, "poison")
    for delay in (10, 20, 40, 60, 60):
        clients.nack(subscription, *clients.pull(subscription))
        clients.advance(delay - 1)
        clients.send(topic, "fine")  # others do not wait for it
        fine = clients.pull(subscription)
        assert [one.message.data for one in fine] == [b"fine"]
        clients.ack(subscription, *fine)
        clients.advance(1.1)
    assert clients.data(subscription) == ["poison"]


@pins(
    "pubsub",
    "Dead letters",
    "delivery_attempt is set only where there is a dead letter policy, and counts failed deliveries plus one",
    documented="ReceivedMessage",
)
def test_the_delivery_attempt_is_told_with_a_dead_letter_policy(clients: Clients) -> None:
    topic, dead = clients.topic(), clients.topic()
    plain = clients.subscription(topic)
    counted = clients.subscription(topic, dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 9})
    clients.send(topic, "one")
    for attempt in (1, 2, 3):
        without, with_policy = clients.pull(plain), clients.pull(counted)
        assert (without[0].delivery_attempt, with_policy[0].delivery_attempt) == (0, attempt)
        clients.nack(plain, *without)
        clients.nack(counted, *with_policy)


@pins(
    "pubsub",
    "Ordering",
    "A refused message of a key comes again with all that follow it, in order; more of a key does not go to the next "
    "pull while some is outstanding; other keys go on",
    documented="Order messages page",
)
def test_a_key_starts_again_where_it_failed(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, enable_message_ordering=True)
    clients.send(topic, "a1", "a2", "a3", "a4", key="a")
    got = clients.pull(subscription, 3)
    assert [one.message.data for one in got] == [b"a1", b"a2", b"a3"]
    clients.send(topic, "b1", key="b")
    assert clients.data(subscription) == ["b1"]
    clients.ack(subscription, got[0], got[2])
    clients.nack(subscription, got[1])
    again = clients.pull(subscription)
    assert [one.message.data for one in again] == [b"a2", b"a3", b"a4"]
    assert {one.message.ordering_key for one in again} == {"a"}
    clients.ack(subscription, *reversed(again))
    clients.advance(11)
    assert clients.data(subscription) == ["b1"]


@pins("pubsub", "Pull", "A deleted subscription is NOT_FOUND, for a pull that waits too", documented="Pull")
def test_a_waiting_pull_hears_of_the_end(clients: Clients) -> None:
    subscription = clients.subscription(clients.topic())
    ends: list[Exception] = []

    def wait() -> None:
        with pytest.raises(exceptions.NotFound) as failed:
            clients.subscriber.pull(subscription=subscription, max_messages=5)
        ends.append(failed.value)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until_pulling(clients, subscription)
    clients.subscriber.delete_subscription(subscription=subscription)
    waiter.join()
    assert len(ends) == 1
    with pytest.raises(exceptions.NotFound, match="Resource not found"):
        clients.pull(subscription)
    with pytest.raises(exceptions.InvalidArgument, match="max_messages"):
        clients.pull(clients.subscription(clients.topic()), 0)


@pins("pubsub", "Pull", "Pull, Acknowledge and ModifyAckDeadline are served over REST too", documented="REST reference")
def test_messages_come_over_rest(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    clients.send(topic, "one", "two")
    _, rest = clients.over_rest()
    one, two = rest.pull(subscription=subscription, max_messages=5).received_messages
    assert (one.message.data, two.message.data) == (b"one", b"two")
    rest.acknowledge(subscription=subscription, ack_ids=[one.ack_id])
    rest.modify_ack_deadline(subscription=subscription, ack_ids=[two.ack_id], ack_deadline_seconds=0)
    assert clients.data(subscription) == ["two"]


@pins(
    "pubsub",
    "Pull",
    "A pull whose caller is gone takes nothing: what comes later is the next one's, as its first attempt",
    ours="Google redelivers after the deadline",
)
def test_a_caller_that_is_gone_takes_nothing(clients: Clients) -> None:
    topic, dead = clients.topic(), clients.topic()
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    subscription = clients.subscription(topic, dead_letter_policy=policy)
    with grpc.insecure_channel(f"127.0.0.1:{clients.place.ports['grpc']}") as channel:
        call: Any = channel.unary_unary("/google.pubsub.v1.Subscriber/Pull", PullRequest.serialize)
        gone = call.future(PullRequest(subscription=subscription, max_messages=5))
        until_pulling(clients, subscription)
        gone.cancel()
        while clients.core().backlogs[subscription].consumers:
            threading.Event().wait(0.002)
    clients.send(topic, "one")
    [received] = clients.pull(subscription)
    assert received.delivery_attempt == 1
