"""The hops of a payment as the services log them, and which hop or door each IAM binding is for, by the specs.

A hop is a queue whose receiver has handled the payment's task. Which hop makes which task is learned from payments
that go well, one paid at once and one paid in stages, so that a new queue of theirs needs no word here. What neither of
them uses stands in ELSEWHERE.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import spec
from service_code.kit import routes
from spec.permissions import RECORD_READER
from tests.payments.bindings import Binding, entries, fix_of, refusals
from tests.payments.stack import ROOT, Stack, until

SYSTEM = spec.load(ROOT, "local")

#: Where a payment comes in, beside the queues.
ENTRY = "the processor's notice"

#: Seconds within which every safety net has had its turn, and a host payment's token and grace have not run out.
SAFETY_NET = 90
STEP = 5

#: The ways to pay out that are tried: at once, and in stages.
WAYS = ("single", "staged")

#: Queues, topics, subscriptions and accounts whose bindings no test takes away, and why: no hop of a payment that goes
#: well on one of these ways needs them. Their services' schedules, operators, databases and readers of the rollout
#: record are tried all the same.
ELSEWHERE = {
    "gchostpay3-retry-queue": "only a payout whose sending failed is sent again",
    "gchostpay-payment-failed-queue": "only a payout that failed for good is told so",
    "registration-processing-queue": "registers clients, pays nobody",
    "gcregister": "the registry of clients",
    "gcsplit-estimate-queue": "the new way of the route estimate, which no payment takes unless a stack says so",
    "gcsplit-estimate-response-queue": "the new way of the route estimate",
    "gcaccumulator-queue": "the threshold's flow: its client is paid later, with others",
    "gcsplit2-queue": "the threshold's flow",
    "gcbatchprocessor-queue": "the threshold's flow",
    "gcmicrobatchprocessor-failed-queue": "the threshold's flow: a batch that failed",
    "gcsplit2": "a service of the threshold's flow",
    "gcbatchprocessor": "a service of the threshold's flow, which shares the queue of staged payouts",
    "gcmicrobatchprocessor": "a service of the threshold's flow",
    "gchostpay4-news-queue": "news only hurry what the payer looks at by itself",
    "gchostpay4": "the chain's webhook: no payment waits for it",
    "paynow-events": "PayNow's flow pays nothing out",
    "paynow-events-dlq": "PayNow's flow: what it gave up",
    "paynow-events-sub": "PayNow's flow: Pub/Sub's own account reads what it gives up",
    "paynow-events-push": "PayNow's flow: the account of its pushes",
    "paynowwebhook": "PayNow's flow: the entry service",
}


@dataclass(frozen=True)
class Need:
    """What a binding is for: "hop" of a payment, "entry", "start" of a service, "record" that it chooses by,
    "schedule", "operator", "database"; "elsewhere" where no test takes it away, by ELSEWHERE.
    """

    what: str
    name: str


def need_of(binding: Binding) -> Need:
    """What a binding is for, by the specs; an unknown one fails."""
    if binding.kind in ("queues", "serviceAccounts", "topics", "subscriptions"):
        account = binding.name.partition("@")[0]
        if account in ELSEWHERE:
            return Need("elsewhere", account)
        (queue,) = [q for q in SYSTEM.queues if account in (q, spec.names.invoker_account_id(q))]
        return _tried("hop", queue, binding.account)
    if binding.kind == "secrets":
        return _tried("start", binding.account)
    if binding.kind == "services":
        return _door(binding)
    if binding.kind == "buckets" and binding.role == RECORD_READER and SYSTEM.reads_record(binding.account):
        return Need("record", binding.account)
    assert binding.role.startswith("roles/cloudsql."), f"no test takes {binding} away: say here what it is for"
    return Need("database", binding.account)


def _door(binding: Binding) -> Need:
    """Why somebody may call a service."""
    if binding.member == "allUsers":
        return _tried("entry", binding.name)
    callers = [caller for group in SYSTEM.callers(binding.name).values() for caller in group]
    uses = {(caller.why, caller.name) for caller in callers if caller.account_id == binding.account}
    (why,) = {why for why, _ in uses}
    if why in ("schedule", "operator"):
        return Need(why, binding.name)  # one account for all of a service's schedules
    ((_, name),) = uses
    if why == "direct":
        return Need("elsewhere", name)  # as long as all payments go by the queue
    return _tried("hop", name)


def _tried(what: str, name: str, account: str = "") -> Need:
    return Need("elsewhere" if {name, account} & ELSEWHERE.keys() else what, name)


@dataclass(frozen=True)
class Flow:
    """The hops of a payment that goes well: each queue, and the queues that its receiver fills."""

    way: str
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

    def lost_without(self, binding: Binding) -> set[str]:
        """The hops that a missing binding stops first."""
        name = need_of(binding).name
        sender = SYSTEM.services.get(binding.account)
        if sender is None or sender.database:
            return {name}
        # A service that stores nothing cannot make its task later: it leaves its own undone, and gets it again.
        return {name} | {hop for hop, made in self.after.items() if name in made}


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
            found.add(ENTRY if said["message"] == "answered" else said["queue"])
        return found - ELSEWHERE.keys()

    def flow(self, way: str) -> Flow:
        """Which hop made which task."""
        doors = {(queue.receiver, queue.path): name for name, queue in SYSTEM.queues.items() if name not in ELSEWHERE}
        after: dict[str, set[str]] = {}
        for said in self._said('jsonPayload.message="task made"'):
            hop = doors.get((said["service_name"], said["endpoint"]), ENTRY)
            if said["queue"] not in ELSEWHERE:
                after.setdefault(hop, set()).add(said["queue"])
        return Flow(way, after)

    def complaints(self) -> list[str]:
        """What the services say of tasks that they could not make."""
        return [str(said.get("error")) for said in self._said('jsonPayload.event="enqueue_failed"')]

    def dead(self) -> bool:
        rows = self.stack.sql("SELECT 1 AS dead FROM failed_transactions WHERE unique_id = $1", self.unique_id)
        return bool(rows)

    def _said(self, wanted: str) -> list[dict[str, Any]]:
        found = entries(self.stack, self.since, f'jsonPayload.unique_id="{self.unique_id}" AND {wanted}')
        return [entry["jsonPayload"] for entry in found]


def send(stack: Stack, since: str, way: str, *, wait: bool = True) -> Payment:
    (sent,) = stack.send(amount="0.01", count=1, wait=wait, unique_ids=[id_of(way)])
    return Payment(stack, since, sent["unique_id"])


def ids(way: str, count: int) -> list[str]:
    """Ids of as many payments that take this way."""
    return [id_of(way) for _ in range(count)]


def id_of(way: str) -> str:
    """A payment's id that takes this way in the stack, by gcsplit's rule."""
    assert SYSTEM.stack is not None
    percent = SYSTEM.stack.canary_percent["payout"]
    assert 0 < percent < 100, "both ways are tried"
    while True:
        unique_id = secrets.token_hex(8)
        if routes.takes_new_way("payout", unique_id, percent) == (way == "staged"):
            return unique_id


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
    windows = [SYSTEM.queues[name].token_window for name in lost if name in SYSTEM.queues]
    short_lived = any(window and window.seconds <= SAFETY_NET for window in windows)
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
        condition = json.loads(binding.condition)["expression"] if binding.condition else ""
        assert refusal["fix"].get("fix_condition", "") == condition


def is_open(service: str) -> bool:
    """Whether the service's door lets everybody in, so that it looks at no token."""
    return bool(SYSTEM.service(service).public)
