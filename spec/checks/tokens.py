"""What the settings of a queue's token need of other files, and where two of them contradict one another."""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, choose
from spec.task_queue import TaskQueue
from spec.token import HEALTH, Token


@rule("SL210")
def settings_are_of_a_token(draft: Draft) -> Iterator[Finding]:
    """Where nothing expires there is nothing to be done about it."""
    for queue in draft.system.queues.values():
        if queue.token != Token() and queue.lifetime is None:
            yield draft.error(
                "queue",
                queue.name,
                "token",
                what="the message does not expire: the queue has no token_window",
                breaks="the settings would do nothing: the queue alone tries until it gives up",
                fix="say how long the token lives, for example token_window: 60s, or delete token",
            )


@rule("SL211")
def what_is_minted_at_delivery_does_not_wait(draft: Draft) -> Iterator[Finding]:
    """A task without a token has no token's window, but an end, and a receiver that reads the row."""
    for queue in draft.system.queues.values():
        if queue.token.minted != "delivery":
            continue
        if queue.token_window is not None:
            yield draft.error(
                "queue",
                queue.name,
                "token_window",
                what=f"no token waits for {queue.token_window}: it is minted at delivery",
                breaks="payments would be given up by the age of a token that the task does not carry",
                fix="delete token_window; retry.task_age_limit alone says how long the task is tried, 24h for example",
            )
        if queue.retry.task_age_limit.milliseconds == 0:
            yield draft.error(
                "queue",
                queue.name,
                "retry",
                what="nothing says how long a task without a token is tried",
                breaks="nobody could tell when a payment that was not delivered is dead",
                fix="write retry: {..., task_age_limit: 24h}",
            )
        receiver = draft.system.services.get(queue.receiver)
        if receiver is not None and queue.path not in receiver.by_reference:
            yield draft.error(
                "queue",
                queue.name,
                "token",
                "minted",
                what=f"{receiver.name} does not read what {queue.path} only names",
                breaks="the receiver would find no token in the message, and every task would end as a dead letter",
                fix=f"write minted: enqueue, or add by_reference: [{queue.path}] to "
                f"service_code/{receiver.name}/service.yaml once its code reads the row",
            )


@rule("SL212")
def what_waits_is_sent_anew(draft: Draft) -> Iterator[Finding]:
    """Every sender of a queue with a fallback or a breaker has a schedule that sends anew what waits of this queue."""
    for queue in draft.system.queues.values():
        fallback = queue.token.fallback
        if not queue.token.is_patient or queue.lifetime is None:
            continue
        for name in queue.senders:
            sender = draft.system.services.get(name)
            if sender is None:
                continue
            able = {one for one, schedule in sender.schedules.items() if queue.name in schedule.falls_back}
            if able and (fallback is None or fallback.schedule in able):
                continue
            key = "fallback" if fallback is not None else "breaker"
            if able:
                assert fallback is not None
                what = f"{name}'s schedule {fallback.schedule!r} does not send {queue.name} anew"
                fix = f"{choose(fallback.schedule, able, noun='schedule')}"
            else:
                what = f"{name} has no schedule that sends {queue.name} anew"
                fix = (
                    f"delete {key}, or add falls_back: [{queue.name}] to a schedule of "
                    f"service_code/{name}/service.yaml once its code sends anew"
                )
            breaks = f"what is not delivered within {queue.lifetime} would wait for somebody who never comes"
            yield draft.error("queue", queue.name, "token", key, what=what, breaks=breaks, fix=fix)


@rule("SL213")
def whoever_falls_back_sends(draft: Draft) -> Iterator[Finding]:
    """A schedule falls back for queues of its own service's messages."""
    for service in draft.system.services.values():
        for name, schedule in service.schedules.items():
            for index, wanted in enumerate(schedule.falls_back):
                queue = draft.system.queues.get(wanted)
                if queue is None and draft.is_declared("queue", wanted):
                    continue  # it could not be read, which is told of by itself
                if queue is not None and service.name in queue.senders:
                    continue
                own = [one.name for one in draft.system.queues.values() if service.name in one.senders]
                yield draft.error(
                    "service",
                    service.name,
                    "schedules",
                    name,
                    "falls_back",
                    index,
                    what=f"{service.name} sends nothing to {wanted}" if queue else f"there is no queue {wanted!r}",
                    breaks="there would be nothing to send anew",
                    fix=choose(wanted, own, noun="queue of its own"),
                )


@rule("SL214")
def whoever_waits_outlives_the_task(draft: Draft) -> Iterator[Finding]:
    """Fallback and breaker give up later than the queue."""
    for queue in draft.system.queues.values():
        lifetime, token = queue.lifetime, queue.token
        if lifetime is not None and token.is_patient and token.give_up_after <= lifetime:
            yield draft.error(
                "queue",
                queue.name,
                "token",
                "give_up_after",
                what=f"given up after {token.give_up_after}, but one task may take {lifetime}",
                breaks="fallback and breaker would never come to act",
                fix=f"write a give_up_after well above {lifetime}, or delete fallback and breaker",
            )


@rule("SL215")
def a_breaker_can_ask(draft: Draft) -> Iterator[Finding]:
    """The senders of a queue with a breaker can reach the receiver's health, keep what they hold, and ask in time."""
    for queue in draft.system.queues.values():
        breaker = queue.token.breaker
        if breaker is not None and queue.lifetime is not None:
            yield from _breaker(draft, queue)


def _breaker(draft: Draft, queue: TaskQueue) -> Iterator[Finding]:
    breaker, lifetime = queue.token.breaker, queue.lifetime
    assert breaker is not None
    assert lifetime is not None
    receiver = draft.system.services.get(queue.receiver)
    if receiver is not None and HEALTH not in (*receiver.operator_paths, *receiver.public):
        yield draft.error(
            "queue",
            queue.name,
            *("token", "breaker"),
            what=f"{HEALTH} of {receiver.name} is for nobody",
            breaks="the service takes calls of queues alone, so no sender could ask whether it is well",
            fix=f"add {HEALTH} to operator_paths in service_code/{receiver.name}/service.yaml",
        )
    if queue.receiver in queue.senders:
        yield draft.error(
            "queue",
            queue.name,
            *("token", "breaker"),
            what=f"{queue.receiver} would ask itself whether it is well",
            breaks="whoever can ask is well, so the breaker would never open",
            fix="delete breaker",
        )
    for name in queue.senders:
        sender = draft.system.services.get(name)
        if sender is not None and not sender.database:
            yield draft.error(
                "queue",
                queue.name,
                *("token", "breaker"),
                what=f"{name} has no database",
                breaks="what it does not send while the breaker is open would be lost",
                fix="delete breaker, or give the sender a database",
            )
    if breaker.check_interval >= lifetime:
        yield draft.error(
            "queue",
            queue.name,
            *("token", "breaker", "check_interval"),
            what=f"an answer is believed for {breaker.check_interval}, but the token lives {lifetime}",
            breaks="the breaker would open after the tokens that it should save have died",
            fix=f"write a check_interval well below {lifetime}, for example 5s",
        )


RULES: tuple[Rule, ...] = (
    settings_are_of_a_token,
    what_is_minted_at_delivery_does_not_wait,
    what_waits_is_sent_anew,
    whoever_falls_back_sends,
    whoever_waits_outlives_the_task,
    a_breaker_can_ask,
)
