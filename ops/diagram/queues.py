"""The reference page of all queues and topics: what each carries, how fast, and when it tries what fails."""

from __future__ import annotations

import spec
from spec import timeline

#: Attempts that the page lists of each queue.
ATTEMPTS = 6


def page(system: spec.System) -> str:
    """The page, in Markdown."""
    parts = [
        "# Queues and topics",
        "",
        "Written by `./sluice diagram --queues docs/queues.md` from `queue_configs/`; a test keeps it true. Times are",
        "those of a receiver that fails at once; `./sluice lint --timelines` prints them in full.",
        "",
    ]
    for queue in system.queues.values():
        parts += _queue(queue)
    for topic in system.topics.values():
        parts += _topic(topic)
    return "\n".join(parts).rstrip() + "\n"


def _queue(queue: spec.TaskQueue) -> list[str]:
    senders = ", ".join(queue.senders)
    tries = timeline.first_tries(queue, ATTEMPTS)
    window = f"; its token lives {queue.token_window}" if queue.token_window is not None else ""
    return [
        f"## {queue.name}",
        "",
        f"{senders} -> {queue.receiver} `{queue.path}`, `{queue.message}`{window}.",
        "",
        "| rate | at once | deadline | tries at | given up |",
        "|---|---|---|---|---|",
        f"| {queue.rate.dispatches_per_second:g}/s | {queue.rate.concurrent} | {queue.dispatch_deadline} | {tries} | "
        f"{timeline.stop_rule(queue)} |",
        "",
    ]


def _topic(topic: spec.Topic) -> list[str]:
    order = "in the order of each key" if topic.ordered else "in no order"
    return [
        f"## {topic.name}",
        "",
        f"{', '.join(topic.publishers)} -> {topic.receiver} `{topic.path}`, `{topic.message}`, {order}.",
        "",
        "| push deadline | redelivered after | deliveries | kept | dead letters kept |",
        "|---|---|---|---|---|",
        f"| {topic.ack_deadline} | {topic.retry.min_backoff} to {topic.retry.max_backoff} | "
        f"{topic.max_delivery_attempts} | {topic.retention} | {topic.dead_letters.retention} |",
        "",
    ]
