"""What a topic's file says must fit: its services and message, the receiver's timeout, and how long deliveries last."""

from __future__ import annotations

from collections.abc import Iterator

from spec import names
from spec.checks.draft import Draft, Rule
from spec.checks.handled import handled
from spec.checks.rule import rule
from spec.durations import Duration
from spec.errors import Finding, Severity, choose


@rule("SL115")
def services_exist(draft: Draft) -> Iterator[Finding]:
    """Every service that a topic joins has a folder, and publishes once."""
    for topic in draft.system.topics.values():
        ends = [
            (("from", index), one, "nobody could publish in its name") for index, one in enumerate(topic.publishers)
        ]
        for path, name, breaks in [*ends, (("to",), topic.receiver, "no push would have a URL to go to")]:
            if not draft.is_declared("service", name):
                hint = choose(name, draft.declared["service"], noun="service")
                fix = f"{hint} A new service is a folder: service_code/{name}/service.yaml"
                what = f"there is no service {name!r}"
                yield draft.error("topic", topic.name, *path, what=what, breaks=breaks, fix=fix)
        for index, name in enumerate(topic.publishers):
            if name in topic.publishers[:index]:
                yield draft.error(
                    "topic",
                    topic.name,
                    *("from", index),
                    what=f"{name} is listed twice",
                    breaks="one permission would be declared as two resources of the same name",
                    fix="delete one of the two",
                )


@rule("SL116")
def messages_are_handled(draft: Draft) -> Iterator[Finding]:
    """The receiver handles the topic's message at its path, and no queue leads there too."""
    queued = {(queue.receiver, queue.path): queue.name for queue in draft.system.queues.values()}
    taken: dict[tuple[str, str], str] = {}
    for topic in draft.system.topics.values():
        receiver = draft.system.services.get(topic.receiver)
        if receiver is None:
            continue
        lost = "every push would get a 404 and end in the dead letters"
        unread = "the receiver could not decode what arrives, and every message would end as a dead letter"
        yield from handled(draft, "topic", topic, receiver, lost=lost, unread=unread)
        door = (topic.receiver, topic.path)
        other = queued.get(door) or taken.setdefault(door, topic.name)
        if other != topic.name:
            yield draft.error(
                "topic",
                topic.name,
                "path",
                what=f"{other} leads to {topic.path} too",
                breaks="a door reads a task or the envelope of a push, not both, and dead letters go to one topic",
                fix="give the topic a path of its own in the receiver's handles",
            )


@rule("SL206", silenceable=True)
def receiver_answers_before_the_deadline(draft: Draft) -> Iterator[Finding]:
    """The receiver is cut off before Google gives a push up and delivers again."""
    for topic in draft.system.topics.values():
        receiver = draft.system.services.get(topic.receiver)
        if receiver is not None and receiver.timeout > topic.ack_deadline:
            yield draft.error(
                "topic",
                topic.name,
                "ack_deadline",
                what=f"a push waits {topic.ack_deadline}, but {receiver.name} may work for {receiver.timeout}",
                breaks="the next delivery would start while the one before it is still running",
                fix=f"write an ack_deadline of {receiver.timeout} or more, or lower timeout in "
                f"service_code/{receiver.name}/service.yaml to {topic.ack_deadline} or less",
            )


@rule("SL207", silenceable=True)
def retention_outlives_the_deliveries(draft: Draft) -> Iterator[Finding]:
    """No message goes before its deliveries are used up."""
    for topic in draft.system.topics.values():
        one = topic.ack_deadline.seconds + topic.retry.max_backoff.seconds
        most, kept = topic.max_delivery_attempts, topic.retention
        whole = Duration.of(seconds=round(one * most))
        if whole > topic.retention:
            yield draft.error(
                "topic",
                topic.name,
                "retention",
                what=f"{most} deliveries may take {whole}, but messages are kept {kept}",
                breaks="a message that fails would be dropped without ever becoming a dead letter",
                fix=f"write a retention of {whole} or more, or fewer max_delivery_attempts",
            )


@rule("SL208", Severity.WARNING)
def dead_letters_outlive_messages(draft: Draft) -> Iterator[Finding]:
    """No dead letter goes before its message would have gone."""
    for topic in draft.system.topics.values():
        if topic.dead_letters.retention < topic.retention:
            yield draft.warning(
                "topic",
                topic.name,
                "dead_letters",
                "retention",
                what=f"dead letters are kept {topic.dead_letters.retention}, living messages {topic.retention}",
                breaks="an outage that the messages would outlast takes the dead letters of its first day with it",
                fix=f"write a retention of {topic.retention} or more",
            )


@rule("SL117")
def dead_letters_do_not_collide(draft: Draft) -> Iterator[Finding]:
    """No topic has the name of another's dead letters."""
    owners = {names.dead_letter_topic(topic): topic for topic in draft.system.topics}
    for topic in draft.system.topics:
        if topic in owners:
            yield draft.error(
                "topic",
                topic,
                what=f"{topic} is also the dead-letter topic of {owners[topic]}",
                breaks="what nobody could handle would be pushed to a service as if it were new",
                fix="rename this file",
            )


RULES: tuple[Rule, ...] = (
    services_exist,
    messages_are_handled,
    receiver_answers_before_the_deadline,
    retention_outlives_the_deliveries,
    dead_letters_outlive_messages,
    dead_letters_do_not_collide,
)
