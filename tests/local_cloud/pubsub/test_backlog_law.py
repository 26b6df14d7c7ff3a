"""A backlog against a small model, whatever is published, pulled, refused, forgotten, killed and sought to.

The model knows of each subscription which messages are open, and which of them are out until when. From that alone it
says what a pull may give: nothing that is acknowledged or out, in the order of each key, never past an earlier one.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from local_cloud.pubsub.consumer import Delivery, Refusals
from tests.dose import share
from tests.fidelity import pins
from tests.local_cloud.pubsub.virtual import TOPIC, Subscription, Topic, World

NAMES = ("projects/p/subscriptions/a", "projects/p/subscriptions/b")
SNAPSHOT = "projects/p/snapshots/s"
KEYS = ("", "", "k1", "k2")


@dataclass
class Model:
    """One subscription as it must be."""

    ordered: bool
    exactly_once: bool
    open: dict[str, str] = field(default_factory=dict)
    #: Message -> ack id and deadline of its lease.
    out: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: Acknowledged before their turn: they count when all before them do.
    early: set[str] = field(default_factory=set)

    def before(self, identity: str) -> list[str]:
        """Open messages of the same key that were published before."""
        key = self.open[identity]
        earlier = [other for other in self.open if int(other) < int(identity)]
        return [other for other in earlier if self.ordered and key and self.open[other] == key]

    def end(self, identity: str) -> None:
        """A delivery has failed: it comes back, and with it all that follow in its key."""
        key = self.open[identity]
        for other in list(self.out) + list(self.early):
            if other == identity or (self.ordered and key and self.open[other] == key and int(other) > int(identity)):
                self.out.pop(other, None)
                self.early.discard(other)

    def acknowledge(self, identity: str) -> None:
        """Counts at once, or with the last one before it."""
        self.out.pop(identity, None)
        self.early.add(identity)
        self.settle()

    def expire(self, identity: str) -> None:
        """Is too old."""
        self.out.pop(identity, None)
        self.early.discard(identity)
        del self.open[identity]
        self.settle()

    def settle(self) -> None:
        """What was acknowledged early counts when nothing is before it any more."""
        for other in sorted(self.early, key=int):
            if not self.before(other):
                self.early.discard(other)
                del self.open[other]


class Law(RuleBasedStateMachine):
    """What may happen to a topic with two subscriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.core.add_topic(Topic(name=TOPIC))
        self.models: dict[str, Model] = {}
        self.published: dict[str, str] = {}
        self.times: dict[str, float] = {}
        self.given: dict[str, list[tuple[str, Delivery]]] = {name: [] for name in NAMES}
        self.unconfirmed: list[str] = []
        self.snapshot: dict[str, str] | None = None
        self.serial = 0

    @initialize(ordered=st.booleans(), exactly_once=st.booleans())
    def subscribe(self, ordered: bool, exactly_once: bool) -> None:
        for name, law in zip(NAMES, ((ordered, exactly_once), (not ordered, False)), strict=True):
            made = Subscription(
                name=name, topic=TOPIC, enable_message_ordering=law[0], enable_exactly_once_delivery=law[1]
            )
            self.world.core.add_subscription(made)
            self.models[name] = Model(*law)
        self.world.log.commit()

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 4))
    def publish(self, key: str, count: int) -> None:
        for _ in range(count):
            self.serial += 1
            identity = self.world.publish(f"m{self.serial}", key)
            self.times[identity] = self.world.time
            self.published[identity] = f"m{self.serial}"
            self.unconfirmed.append(identity)
            for model in self.models.values():
                model.open[identity] = key
            if self.snapshot is not None:
                self.snapshot[identity] = key

    @rule()
    def commit(self) -> None:
        self.world.log.commit()
        self.unconfirmed.clear()

    @rule(name=st.sampled_from(NAMES), most=st.integers(1, 5))
    def pull(self, name: str, most: int) -> None:
        self.check(name, self.world.pull(name, most))

    def check(self, name: str, got: list[Delivery]) -> None:
        model = self.models[name]
        came: set[str] = set()
        for delivery in got:
            made = delivery.message()
            identity = made.message_id
            assert made.data.decode() == self.published[identity]
            assert identity in model.open, "an acknowledged message came again"
            assert identity not in model.out, "a message that is out came again"
            assert identity not in self.unconfirmed, "a message went out before it was on disk"
            assert identity not in came
            assert all(other in came for other in model.before(identity)), "a message went past an earlier one"
            came.add(identity)
            self.given[name].append((identity, delivery))
            model.out[identity] = (delivery.ack_id, self.world.time + 10.0)

    @precondition(lambda self: any(self.given.values()))
    @rule(data=st.data(), what=st.sampled_from(["ack", "ack", "ack", "nack", "extend"]))
    def answer(self, data: st.DataObject, what: str) -> None:
        name = data.draw(st.sampled_from([name for name in NAMES if self.given[name]]))
        model, backlog = self.models[name], self.world.core.backlogs[name]
        identity, delivery = data.draw(st.sampled_from(self.given[name]))
        lease = model.out.get(identity)
        holds = lease is not None and lease[0] == delivery.ack_id
        if what == "ack":
            unordered = holds and identity in model.open and bool(model.before(identity))
            refused = backlog.ack([delivery.ack_id])
            if model.exactly_once and not holds:
                assert refused == {delivery.ack_id: Refusals.INVALID}
            elif model.exactly_once and unordered:
                assert refused == {delivery.ack_id: Refusals.UNORDERED}
            else:
                assert not refused
                if identity in model.open and (lease is not None or not model.before(identity)):
                    self.acknowledge(model, identity)
        else:
            refused = backlog.modify([delivery.ack_id], 0 if what == "nack" else 60)
            assert bool(refused) == (model.exactly_once and not holds)
            if not refused and identity in model.out:
                if what == "nack":
                    model.end(identity)
                else:
                    model.out[identity] = (model.out[identity][0], self.world.time + 60.0)
        if model.exactly_once:
            self.commit()  # the answer waits for it

    def acknowledge(self, model: Model, identity: str) -> None:
        model.acknowledge(identity)

    @rule(seconds=st.sampled_from([1.0, 5.0, 11.0, 61.0, 4 * 86_400.0]))
    def advance(self, seconds: float) -> None:
        self.commit()  # nothing stays unwritten for long
        self.world.advance(seconds)
        for model in self.models.values():
            late = [(deadline, identity) for identity, (_, deadline) in model.out.items()]
            for deadline, identity in sorted(late):
                if deadline <= self.world.time and identity in model.out:
                    model.end(identity)
            self.forget(model)

    def forget(self, model: Model) -> None:
        """Drops what is older than seven days."""
        for identity in sorted(model.open, key=int):
            if identity in model.open and self.times[identity] + 7 * 86_400 <= self.world.time:
                model.expire(identity)

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """What was not committed may be lost: messages without an answer, and acknowledgements (at least once)."""
        disk = self.world.disk
        disk.durable = data.draw(st.integers(disk.durable, len(disk.records)))
        self.world.start()
        core = self.world.core
        for name, model in self.models.items():
            there = {str(self.identity(entry.number)) for entry in core.backlogs[name].open_entries()}
            assert set(model.open) - set(self.unconfirmed) <= there, "an answered message was lost"
            if model.exactly_once:
                assert there <= set(model.open), "a confirmed acknowledgement was lost"
            model.open = {identity: self.key(identity) for identity in sorted(there, key=int)}
            model.out.clear()
            model.early.clear()
        if self.snapshot is not None:
            held = core._snapshots[SNAPSHOT]
            there = {str(self.identity(entry.number)) for entry in held.open_entries()}
            assert set(self.snapshot) - set(self.unconfirmed) <= there
            self.snapshot = {identity: self.key(identity) for identity in sorted(there, key=int)}
        self.unconfirmed.clear()

    def identity(self, number: int) -> int:
        """A message's id from its number: they count up together."""
        return int(next(iter(self.published))) + number

    def key(self, identity: str) -> str:
        return self.world.core._named[TOPIC].key_of(int(identity) - int(next(iter(self.published))))

    @rule()
    def take_snapshot(self) -> None:
        core = self.world.core
        if self.snapshot is not None:
            core.drop_snapshot(SNAPSHOT)
        core.take_snapshot(SNAPSHOT, NAMES[0])
        self.commit()
        self.snapshot = dict(self.models[NAMES[0]].open)

    @precondition(lambda self: self.snapshot is not None)
    @rule(name=st.sampled_from(NAMES))
    def seek_to_snapshot(self, name: str) -> None:
        assert self.snapshot is not None
        self.world.core.seek_to_snapshot(name, SNAPSHOT)
        self.commit()
        self.reopened(name, dict(self.snapshot))

    @rule(name=st.sampled_from(NAMES))
    def purge(self, name: str) -> None:
        self.world.seek(name, self.world.time + 1)
        self.commit()
        self.reopened(name, {})

    def reopened(self, name: str, open_: dict[str, str]) -> None:
        model = self.models[name]
        model.open = open_
        model.out.clear()
        model.early.clear()
        self.forget(model)
        self.given[name].clear()  # ack ids of before mean nothing any more

    @invariant()
    def counts_are_right(self) -> None:
        for name, model in self.models.items():
            stats = self.world.core.backlogs[name].stats()
            assert stats.undelivered == len(model.open)
            assert stats.outstanding == len(model.out)
            assert (stats.oldest is None) == (not model.open)

    def teardown(self) -> None:
        """In the end every message that is open comes, once all before it are acknowledged."""
        if not self.models:
            return
        self.commit()
        for name, model in self.models.items():
            for _ in range(len(model.open) + 1):
                self.advance(61.0)
                got = self.world.pull(name)
                self.check(name, got)
                backlog = self.world.core.backlogs[name]
                assert not backlog.ack(delivery.ack_id for delivery in got)
                for delivery in got:
                    self.acknowledge(model, delivery.message().message_id)
            assert not model.open
            assert not self.world.pull(name)
        for name in NAMES:
            self.world.core.delete_subscription(name)
        if self.snapshot is not None:
            self.world.core.drop_snapshot(SNAPSHOT)
        assert self.world.log.live == 0, "something is kept that nobody needs"


pins(
    "pubsub",
    "Pull",
    "Nothing comes that is acknowledged or out; everything else comes, whatever is refused, expires or is killed",
    documented="subscriber, lease management and replay pages",
)
pins(
    "pubsub",
    "Ordering",
    "A key's messages go out in their order; one that is refused or runs out of time takes back all that follow it, "
    "those that were acknowledged early too, and no other key notices",
    documented="Order messages page",
)
TestLaw = Law.TestCase
TestLaw.settings = settings(max_examples=share(150, 50), stateful_step_count=40, deadline=None)
