"""The hops of a payment as the services log them, and which hop or door each IAM binding is for, by the specs.

A hop is a queue whose receiver has handled the payment's task. Which hop makes which task is learned from a payment
that goes well, so that a new queue needs no word here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import spec
from tests.payments.bindings import Binding, entries, fix_of, refusals
from tests.payments.stack import ROOT, Stack, until

SYSTEM = spec.load(ROOT, "local")

#: Where a payment comes in, beside the queues.
ENTRY = "the processor's notice"

#: Seconds within which every safety net has had its turn, and a host payment's token and grace have not run out.
SAFETY_NET = 90
STEP = 5


@dataclass(frozen=True)
class Need:
    """What a binding is for: "hop" of a payment, "entry", "start" of a service, "schedule", "operator", "database"."""

    what: str
    name: str


def need_of(binding: Binding) -> Need:
    """What a binding is for, by the specs; an unknown one fails."""
    if binding.kind in ("queues", "serviceAccounts"):
        account = binding.name.partition("@")[0]
        (queue,) = [q for q in SYSTEM.queues if account in (q, spec.names.invoker_account_id(q))]
        return Need("hop", queue)
    if binding.kind == "secrets":
        return Need("start", binding.account)
    if binding.kind == "services" and binding.member == "allUsers":
        return Need("entry", binding.name)
    if binding.kind == "services":
        callers = [caller for group in SYSTEM.callers(binding.name).values() for caller in group]
        ((why, name),) = {(caller.why, caller.name) for caller in callers if caller.account_id == binding.account}
        return Need("hop", name) if why == "queue" else Need(why, binding.name)
    assert binding.role.startswith("roles/cloudsql."), f"no test takes {binding} away: say here what it is for"
    return Need("database", binding.account)


@dataclass(frozen=True)
class Flow:
    """The hops of a payment that goes well: each queue, and the queues that its receiver fills."""

    after: dict[str, set[str]]

    @property
    def hops(self) -> set[str]:
        return {ENTRY} | set().union(*self.after.values())

    def without(self, lost: set[str]) -> set[str]:
        """Hops that happen although those are lost."""
        gone, more = set(lost), set(lost)
        while more:
            more = set().union(*(self.after.get(hop, set()) for hop in more)) - gone
            gone |= more
        return self.hops - gone

    def begun(self, lost: set[str]) -> set[str]:
        """Lost hops whose tasks are made by hops that are not."""
        return lost & set().union(*(self.after.get(hop, set()) for hop in self.without(lost)))


@dataclass
class Payment:
    """One payment, followed by what the services log of it."""

    stack: Stack
    since: str
    unique_id: str

    def handled(self) -> set[str]:
        """Hops that were done."""
        found = set()
        for said in self._said('jsonPayload.message=("handled" OR "answered") AND jsonPayload.http_status=200'):
            doors = {(queue.receiver, queue.path): name for name, queue in SYSTEM.queues.items()}
            door = (said["service_name"], said["endpoint"])
            found.add(ENTRY if said["message"] == "answered" else doors[door])
        return found

    def flow(self) -> Flow:
        """Which hop made which task."""
        doors = {(queue.receiver, queue.path): name for name, queue in SYSTEM.queues.items()}
        after: dict[str, set[str]] = {}
        for said in self._said('jsonPayload.message="task made"'):
            hop = doors.get((said["service_name"], said["endpoint"]), ENTRY)
            after.setdefault(hop, set()).add(said["queue"])
        return Flow(after)

    def complaints(self) -> list[str]:
        """What the services say of tasks that they could not make."""
        return [str(said.get("error")) for said in self._said('jsonPayload.event="enqueue_failed"')]

    def dead(self) -> bool:
        rows = self.stack.sql("SELECT 1 AS dead FROM failed_transactions WHERE unique_id = $1", self.unique_id)
        return bool(rows)

    def _said(self, wanted: str) -> list[dict[str, Any]]:
        found = entries(self.stack, self.since, f'jsonPayload.unique_id="{self.unique_id}" AND {wanted}')
        return [entry["jsonPayload"] for entry in found]


def send(stack: Stack, since: str, *, wait: bool = True) -> Payment:
    (sent,) = stack.send(amount="0.01", count=1, wait=wait)
    return Payment(stack, since, sent["unique_id"])


def reach(payment: Payment, hops: set[str], seconds: float = 40) -> None:
    """Wait until these hops are done."""
    until(lambda: payment.handled() >= hops, seconds, lambda: f"{hops - payment.handled()} did not happen")


def see(stack: Stack, since: str, wanted: str, seconds: float = 20) -> None:
    """Wait for a log entry."""
    until(lambda: bool(entries(stack, since, wanted)), seconds, lambda: f"nothing in the log fits {wanted}")


def see_refusals(stack: Stack, since: str) -> None:
    """Wait until somebody was refused."""
    until(lambda: bool(refusals(stack, since)), 20, lambda: "nobody was refused")


def goes_on(payment: Payment, flow: Flow, lost: set[str]) -> None:
    """See the payment go on by itself: the clock moves to the safety nets' turns, nobody asks for anything."""
    moved = 0
    short_lived = any(SYSTEM.queues[name].token_window for name in lost if name in SYSTEM.queues)
    limit = SAFETY_NET if short_lived else 3 * SAFETY_NET
    while not lost <= payment.handled():
        assert moved < limit, f"after {moved} s: {lost - payment.handled()} was not made up for"
        payment.stack.advance(STEP)
        moved += STEP
    reach(payment, flow.hops)
    payment.stack.paid([payment.unique_id])
    assert not payment.dead()


def told(stack: Stack, since: str, binding: Binding) -> None:
    """Every refusal since then names this binding and no other."""
    said = refusals(stack, since)
    assert said, f"nobody was refused for want of {binding}"
    wanted = (binding.role, binding.resource, binding.member)
    assert {fix_of(refusal) for refusal in said} == {wanted}
    assert {refusal["principal"] for refusal in said} == {binding.member}
    for refusal in said:
        command = refusal["fix"]["fix_command"]
        assert command.startswith("gcloud "), command
        assert f"--member={binding.member} --role={binding.role}" in command


def is_open(service: str) -> bool:
    """Whether the service's door lets everybody in, so that it looks at no token."""
    return bool(SYSTEM.service(service).public)
