"""Single laws of a backlog, without a cloud: turns, dead letters, keys of push loops, streams that come back."""

from typing import Any

import pytest

from local_cloud.pubsub.consumer import Consumer, Delivery
from tests.fidelity import pins
from tests.local_cloud.pubsub.virtual import TOPIC, Puller, Subscription, Topic, World

NAME = "projects/p/subscriptions/s"


def world(**settings: Any) -> World:
    """A topic with one subscription."""
    made = World()
    made.core.add_topic(Topic(name=TOPIC))
    made.core.add_subscription(Subscription(name=NAME, topic=TOPIC, **settings))
    return made


def send(world: World, *data: str, key: str = "") -> None:
    for one in data:
        world.publish(one, key)
    world.log.commit()


def bodies(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message().data.decode() for delivery in deliveries]


def test_a_message_that_always_fails_does_not_starve_the_others() -> None:
    made = world()
    send(made, "poison", *(f"m{number}" for number in range(5)))
    came: list[str] = []
    for _ in range(14):
        got = made.pull(NAME, 1)
        came += bodies(got)
        if came[-1] == "poison":
            made.core.backlogs[NAME].modify([got[0].ack_id], 0)
        else:
            made.core.backlogs[NAME].ack([got[0].ack_id])
    assert {f"m{number}" for number in range(5)} < set(came)


@pins(
    "pubsub",
    "Dead letters",
    "With ordering a message whose attempts are used up is forwarded, and its key goes on behind it; where forwarding "
    "fails it is delivered again",
    documented="Order messages, Dead-letter topics",
)
@pytest.mark.parametrize("forwards", [True, False])
def test_a_dead_letter_lets_its_key_go_on(forwards: bool) -> None:
    policy = {"dead_letter_topic": "projects/p/topics/dead", "max_delivery_attempts": 5}
    made = world(dead_letter_policy=policy, enable_message_ordering=True)
    dead: list[tuple[bytes, int]] = []

    def forward(_backlog: object, raw: bytes, attempts: int) -> bool:
        dead.append((raw, attempts))
        return forwards

    made.core.dead_letter = forward
    send(made, "bad", "good", key="k")
    attempts: list[int] = []
    for _ in range(5):
        got = made.pull(NAME, 1)
        assert bodies(got) == ["bad"]
        attempts.append(got[0].attempt)
        made.core.backlogs[NAME].modify([got[0].ack_id], 0)
    assert attempts == [1, 2, 3, 4, 5]
    assert [count for _, count in dead] == [5]
    assert bodies(made.pull(NAME)) == (["good"] if forwards else ["bad", "good"])


def test_failed_deliveries_are_counted_over_a_restart() -> None:
    made = world(dead_letter_policy={"dead_letter_topic": "projects/p/topics/dead", "max_delivery_attempts": 9})
    send(made, "one")
    for attempt in (1, 2, 3):
        got = made.pull(NAME)
        assert got[0].attempt == attempt
        made.core.backlogs[NAME].modify([got[0].ack_id], 0)
        made.log.commit()
        made.start()


class Loop(Consumer):
    """A push loop that answers when it is told to."""

    one_per_key = True

    def __init__(self) -> None:
        super().__init__(10.0, 100)
        self.sent: list[Delivery] = []

    def deliver(self, deliveries: list[Delivery]) -> None:
        self.sent += deliveries


@pins("pubsub", "Ordering", "A push subscription has one message of a key outstanding", documented="Push subscriptions")
def test_a_push_loop_has_one_message_of_a_key() -> None:
    made = world(enable_message_ordering=True)
    send(made, "a1", "a2", key="a")
    send(made, "b1", "b2", key="b")
    send(made, "x", "y")
    loop, backlog = Loop(), made.core.backlogs[NAME]
    backlog.attach(loop)
    assert bodies(loop.sent) == ["a1", "b1", "x", "y"]
    backlog.ack([loop.sent[0].ack_id])
    backlog.modify([loop.sent[1].ack_id], 0)
    assert bodies(loop.sent[4:]) == ["a2", "b1"]
    made.advance(11)
    assert sorted(bodies(loop.sent[6:])) == ["a2", "b1", "x", "y"]


@pins(
    "pubsub",
    "Ordering",
    "More of a key goes to the stream that has some of it outstanding; a stream that comes back under its client_id "
    "takes over what it had",
    documented="StreamingPullRequest.client_id; Order messages page",
)
def test_a_client_that_comes_back_takes_over_what_it_had() -> None:
    made = world(enable_message_ordering=True)
    backlog = made.core.backlogs[NAME]
    one, other = Puller(0), Puller(0)
    one.client, other.client = "one", "other"
    backlog.attach(one)
    send(made, "a1", key="a")
    backlog.attach(other)
    backlog.detach(one)
    send(made, "a2", key="a")
    assert (bodies(one.got), bodies(other.got)) == (["a1"], [])
    again = Puller(0)
    again.client = "one"
    backlog.attach(again)
    assert bodies(again.got) == ["a2"]
    assert (one.outstanding, again.outstanding) == (0, 2)
    backlog.ack([one.got[0].ack_id, again.got[0].ack_id])
    assert again.outstanding == 0
    assert backlog.stats().undelivered == 0


def test_what_reached_nobody_is_put_back_as_if_it_had_not_gone_out() -> None:
    for ordered in (False, True):
        made = world(enable_message_ordering=ordered)
        backlog = made.core.backlogs[NAME]
        send(made, "1", "2", "3", key="k")
        got = made.pull(NAME)
        backlog.put_back(got[1:])
        assert backlog.stats().outstanding == 1
        backlog.ack([got[0].ack_id])
        again = made.pull(NAME)
        assert [delivery.attempt for delivery in again] == [1, 1]
        assert sorted(bodies(again)) == ["2", "3"]


def test_consumers_share_in_small_turns() -> None:
    made = world()
    backlog = made.core.backlogs[NAME]
    both = Puller(0), Puller(0)
    for one in both:
        backlog.attach(one)
    send(made, *map(str, range(64)))
    assert [len(one.got) for one in both] == [32, 32]


def test_a_number_is_not_given_twice_though_its_topic_was_never_answered() -> None:
    made = World()
    made.core.add_topic(Topic(name=TOPIC))
    send(made, "ghost")
    made.documents.clear()  # killed: the log was on disk, the topic was not
    made.start()
    made.core.add_topic(Topic(name=TOPIC))
    made.core.add_subscription(Subscription(name=NAME, topic=TOPIC))
    made.start()
    assert made.pull(NAME) == []


def test_a_topic_that_is_made_again_does_not_keep_what_the_old_one_had() -> None:
    made = world()
    send(made, "old")
    made.core.delete_topic(TOPIC)
    made.core.add_topic(Topic(name=TOPIC))
    send(made, "new")
    assert bodies(made.pull(NAME)) == ["old"]
    made.core.delete_subscription(NAME)
    assert made.log.live == 0
    assert len(made.core._logs) == 1


@pins(
    "pubsub",
    "Publishing",
    "A subscription that a kill left on disk without the messages before it gets what is published next",
    documented="Publish: at-least-once delivery",
)
def test_a_kill_between_documents_and_log_leaves_no_gap_that_swallows_messages() -> None:
    made = world()
    send(made, "1")
    made.publish("never on disk")
    made.publish("nor this")
    later = "projects/p/subscriptions/later"
    made.core.add_subscription(Subscription(name=later, topic=TOPIC))
    made.start()
    send(made, "2", "3")
    assert bodies(made.pull(later)) == ["2", "3"]
    assert bodies(made.pull(NAME)) == ["1", "2", "3"]


@pins(
    "pubsub",
    "Ordering",
    "Nothing of a key goes out before the longest backoff of its messages is over",
    documented="Handle message failures: exponential backoff; Order messages page",
)
def test_a_key_waits_for_the_longest_of_its_backoffs() -> None:
    backoff = {"minimum_backoff": {"seconds": 100}, "maximum_backoff": {"seconds": 100}}
    made = world(enable_message_ordering=True, retry_policy=backoff, ack_deadline_seconds=600)
    backlog = made.core.backlogs[NAME]
    send(made, "1", "2", "3", key="k")
    got = made.pull(NAME, deadline=600)
    backlog.modify([got[2].ack_id], 0)
    made.advance(60)
    backlog.modify([got[0].ack_id], 0)
    made.advance(45)
    assert made.pull(NAME) == [], "the first message was refused 45 seconds ago, with a backoff of 100"
    made.advance(55)
    assert bodies(made.pull(NAME)) == ["1", "2", "3"]


@pins(
    "pubsub",
    "Snapshots and schemas",
    "A seek to a time opens what fits the filter, also of what is being published meanwhile",
    documented="Replay and purge messages; Filter messages",
)
def test_a_seek_knows_what_is_not_on_disk_yet() -> None:
    made = world(filter='attributes.k = "v"')
    made.publish("fits", k="v")
    made.publish("does not")
    made.seek(NAME, 0.0)
    made.log.commit()
    assert bodies(made.pull(NAME)) == ["fits"]
    made.start()
    assert bodies(made.pull(NAME)) == ["fits"]
