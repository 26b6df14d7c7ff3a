"""Operators: what people do with what has died or is stuck, at any moment and more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_code.kit.stations import STAGES
from service_code.kit.tasks import task_id

if TYPE_CHECKING:
    from tests.service_code.simulation.run import Simulation

#: How often all that is dead is replayed at the end: a slow machine may let a token run out.
ROUNDS = 3
#: Queues of the stages in which a payment may stand still.
SENT = [queue for stage, queues in STAGES.items() if stage != "signed" for queue in queues]
#: How often what was lost is sent once more.
RESENT = 0.8
#: How often something is settled that may be.
SETTLED = 0.3
#: What a door says that has written a message's row.
WRITTEN = ("resent", "written", "kept_back")


async def something(simulation: Simulation) -> None:
    """An operator looks at something and does something about it."""
    await simulation.dice.choice(HANDS)(simulation)


async def replay_all(simulation: Simulation) -> dict[str, str]:
    """One command a dead payment; what it was refused for, by payment."""
    refused = {}
    for one in await _listed(simulation, "gcsplit", "/dead", "dead"):
        path = f"/failed-transactions/{one['unique_id']}/status"
        await simulation.operate("gcsplit", "POST", path, {"status": "dead"})
        answer = await simulation.operate("gcsplit", "POST", f"/dead/{one['unique_id']}/replay")
        if answer.status == 409:
            refused[str(one["unique_id"])] = str(answer.json()["error"])
    return refused


async def _listed(simulation: Simulation, service: str, path: str, name: str) -> list[dict[str, Any]]:
    answer = await simulation.operate(service, "GET", path)
    return list(answer.json()[name]) if answer.status == 200 else []


async def _one_dead(simulation: Simulation) -> str | None:
    dead = await _listed(simulation, "gcsplit", "/dead", "dead")
    return str(simulation.dice.choice(dead)["unique_id"]) if dead else None


async def _replay(simulation: Simulation) -> None:
    if (unique_id := await _one_dead(simulation)) is not None:
        await simulation.operate("gcsplit", "POST", f"/dead/{unique_id}/replay")


async def _mark(simulation: Simulation) -> None:
    if (unique_id := await _one_dead(simulation)) is not None:
        wish = {"status": simulation.dice.choice(("dead", "investigating"))}
        await simulation.operate("gcsplit", "POST", f"/failed-transactions/{unique_id}/status", wish)


async def _recover(simulation: Simulation) -> None:
    unique_id = await _one_dead(simulation)
    if unique_id is not None and simulation.dice.random() < 0.2:
        path = f"/failed-transactions/{unique_id}/recovered"
        await simulation.operate("gcsplit", "POST", path, {"note": "paid by hand"})


async def _abandon(simulation: Simulation) -> None:
    if simulation.payments:
        unique_id = simulation.dice.choice(simulation.payments).what.unique_id
        await simulation.operate("gchostpay", "POST", f"/payouts/{unique_id}/abandon")


async def _convert(simulation: Simulation) -> None:
    for one in await _listed(simulation, "gcsplit2", "/conversions", "conversions"):
        if one["status"] == "failed":
            await simulation.operate("gcsplit2", "POST", f"/conversions/{one['unique_id']}/retry")


async def _order(simulation: Simulation) -> None:
    for one in await _listed(simulation, "gcbatchprocessor", "/batches", "batches"):
        if one["status"] == "refused":
            await simulation.operate("gcbatchprocessor", "POST", f"/batches/{one['batch_id']}/retry")


async def _settle(simulation: Simulation) -> None:
    """Pay by hand a batch that is not ordered, or what is not converted, while somebody may be at it."""
    batches = await _listed(simulation, "gcbatchprocessor", "/batches", "batches")
    paths = [f"/batches/{one['batch_id']}/settle" for one in batches if one["status"] in ("assembled", "refused")]
    waiting = await _listed(simulation, "gcsplit2", "/conversions", "conversions")
    paths += [f"/conversions/{one['unique_id']}/settle" for one in waiting]
    if paths and simulation.dice.random() < SETTLED:
        path = simulation.dice.choice(paths)
        await simulation.operate("gcbatchprocessor", "POST", path, {"note": "paid by hand"})


async def _grant(simulation: Simulation) -> None:
    if simulation.payments:
        unique_id = simulation.dice.choice(simulation.payments).what.unique_id
        await simulation.operate("gcwebhook", "POST", f"/payments/{unique_id}/grant")


async def _resend(simulation: Simulation) -> None:
    """Send a message once more: of a payment that stands, as the command does, or any, whatever has become of it.

    Nobody looks at its queue.
    """
    if simulation.dice.random() < 0.5:
        standing = await _listed(simulation, "gcsplit", "/reconcile/payments?older_than=0", "payments")
        rows = [(one["last"]["task"], one["last"], one["unique_id"]) for one in standing if _is_sent(one["last"])]
    else:
        rows = [(task_id(row["id"]), row, row["unique_id"]) for row in await _messages(simulation, SENT)]
    if rows:
        task, row, unique_id = simulation.dice.choice(rows)
        await _again(simulation, row["service"], row["queue"], unique_id, task)


async def _lose(simulation: Simulation) -> None:
    """A task comes to nothing, and mostly its message is sent once more; first those that were so the least often."""
    lost = [held for held in simulation.queues.waiting if held.task.queue in SENT and not held.flying]
    if not lost:
        return
    simulation.dice.shuffle(lost)
    task = min(lost, key=lambda held: simulation.figures.resent[held.task.queue]).task
    simulation.queues.waiting = [held for held in simulation.queues.waiting if held.task is not task]
    if simulation.dice.random() < RESENT:
        for row in await _messages(simulation, [task.queue]):
            if task_id(row["id"]) == task.name:
                await _again(simulation, row["service"], task.queue, row["unique_id"], task.name)


async def _messages(simulation: Simulation, queues: list[str]) -> list[Any]:
    query = "SELECT id, service, queue, unique_id FROM outbox WHERE queue = ANY($1) ORDER BY id"
    return await simulation.rows(query, queues)


def _is_sent(last: dict[str, Any] | None) -> bool:
    return last is not None and last["sent_at"] is not None and last["queue"] in SENT


async def _again(simulation: Simulation, service: str, queue: str, unique_id: str, task: str) -> None:
    """Ask a message's sender for it once more; what it has sent is counted."""
    answer = await simulation.operate(service, "POST", f"/payments/{unique_id}/resend", {"task": task})
    if answer.status == 200 and answer.json()["status"] in WRITTEN:
        simulation.figures.resent[queue] += 1


async def _publish(simulation: Simulation) -> None:
    dead = await _listed(simulation, "paynowwebhook", "/dead", "dead")
    if dead:
        event_id = simulation.dice.choice(dead)["event_id"]
        await simulation.operate("paynowwebhook", "POST", f"/dead/{event_id}/replay")


#: What operators do, and what happens to queues.
HANDS = (
    *(_replay, _replay, _mark, _recover, _abandon, _convert, _order, _settle, _grant, _publish),
    *[_resend] * 3,
    *[_lose] * 5,
)
