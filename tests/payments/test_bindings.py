"""Take any one IAM binding away: exactly the hop that needs it fails, and says which binding would mend it.

The bindings are those that the cloud has, and what each is for follows from the specs, so a new queue, service or
secret of a payout is covered by itself. Those of other flows are named in `hops.ELSEWHERE`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.dose import dose
from tests.payments.bindings import (
    Binding,
    entries,
    every,
    granted,
    next_minute,
    now,
    put_back,
    refusals,
    remove,
    without,
)
from tests.payments.hops import (
    ELSEWHERE,
    ENTRY,
    SAFETY_NET,
    SYSTEM,
    WAYS,
    Flow,
    Need,
    goes_on,
    is_open,
    need_of,
    reach,
    see,
    see_refusals,
    send,
    told,
)
from tests.payments.judge import judge
from tests.payments.stack import Stack, http, until

pytestmark = pytest.mark.stack

#: Seconds within which gcsplit sends anew what was not delivered in time: its schedule, and the window before.
FALLBACK = 400
#: How Cloud Tasks and Cloud Run name their answers (google.rpc.Code).
PERMISSION_DENIED = 7
#: Seconds for which a service goes by the record that it has read (kit/record.py).
RECORD_LIVES = 5


def verdict(stack: Stack) -> None:
    stack.idle()
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, "\n".join(report.differences)


@pytest.fixture(scope="module")
def bindings(stack: Stack) -> list[Binding]:
    return every(stack)


@pytest.fixture(scope="module")
def flows(stack: Stack) -> list[Flow]:
    """The flow of each way, and together all queues that are not named as another's."""
    found = []
    for way in WAYS:
        payment = send(stack, next_minute(stack), way)
        stack.paid([payment.unique_id])
        stack.idle()
        flow, before = payment.flow(way), None
        while flow != before:  # a hop that is waited for may make further tasks
            reach(payment, flow.hops)
            flow, before = payment.flow(way), flow
        found.append(flow)
    tried = {ENTRY, *(queue for queue in SYSTEM.queues if queue not in ELSEWHERE)}
    assert set().union(*(one.hops for one in found)) == tried, "a queue that no payment uses needs a test of its own"
    return found


@pytest.fixture(scope="module")
def flow(flows: list[Flow]) -> Flow:
    """The payment that is paid at once."""
    return flows[0]


def flow_of(flows: list[Flow], queues: set[str]) -> Flow:
    """The first flow that uses one of these queues."""
    return next(flow for flow in flows if flow.hops & queues)


def way_of(binding: Binding, flows: list[Flow]) -> str:
    """The way on which the hop of a binding is tried."""
    return flow_of(flows, {need_of(binding).name}).way


def everybody(bindings: list[Binding], service: str) -> list[Binding]:
    return [one for one in bindings if one.member == "allUsers" and one.name == service]


def test_the_bindings_are_all_that_the_program_declares_and_each_has_its_use(
    stack: Stack, bindings: list[Binding]
) -> None:
    layers = stack.json("preview", "--stack", "local")["layers"]
    declared = [step for layer in layers for step in layer["steps"] if step["type"].lower().endswith("iammember")]
    assert len(bindings) == len(declared) > 30
    uses = {need_of(binding).what for binding in bindings}
    assert uses == {"hop", "entry", "start", "record", "schedule", "operator", "database", "elsewhere"}
    assert {one.account for one in bindings if need_of(one).what == "record"} == {
        name for name in SYSTEM.services if SYSTEM.reads_record(name)
    }
    names = {name for one in bindings for name in (one.account, one.name.partition("@")[0])}
    assert names >= ELSEWHERE.keys(), "only what is there is left out"
    for name, queue in SYSTEM.queues.items():
        if name not in ELSEWHERE:
            senders = [sender for sender in queue.senders if sender not in ELSEWHERE]
            wanted = 2 * len(senders) + 1  # each may create and act as; one account invokes
            assert [need_of(binding) for binding in bindings].count(Need("hop", name)) == wanted


def test_without_a_binding_its_hop_alone_fails_and_goes_on_once_it_is_back(
    stack: Stack, bindings: list[Binding], flows: list[Flow], subtests: pytest.Subtests
) -> None:
    hops = [one for one in bindings if need_of(one).what == "hop"]
    closed = [one for one in hops if not (one.kind == "services" and is_open(one.name))]
    for binding in dose(closed, lambda one: (one.role, way_of(one, flows))):
        flow = flow_of(flows, {need_of(binding).name})
        with subtests.test(str(binding)):
            since = next_minute(stack)
            with without(stack, binding):
                payment = send(stack, since, flow.way)
                lost = flow.lost_without(binding)
                left = flow.without(lost)
                reach(payment, left)
                see_refusals(stack, since)
                stack.idle()
                told(stack, since, binding)
                assert payment.handled() == left
                for complaint in payment.complaints():
                    assert binding.role in complaint
                assert bool(payment.complaints()) == (binding.kind != "services")
            goes_on(payment, flow, lost)
    verdict(stack)


def test_an_open_service_needs_its_callers_bindings_only_where_it_is_closed(
    stack: Stack, bindings: list[Binding], flow: Flow, subtests: pytest.Subtests
) -> None:
    hops = [one for one in bindings if need_of(one).what == "hop"]
    for binding in dose([one for one in hops if one.kind == "services" and is_open(one.name)], lambda one: one.role):
        need = need_of(binding)
        with subtests.test(str(binding)):
            since = next_minute(stack)
            with without(stack, binding):
                payment = send(stack, since, flow.way)
                reach(payment, flow.hops)
                assert refusals(stack, since) == []
                with paused(stack, need.name):
                    payment = send(stack, since, flow.way)
                    left = flow.without({need.name})
                    reach(payment, left)
                    for one in everybody(bindings, binding.name):
                        remove(stack, one)
                try:
                    see_refusals(stack, since)
                    told(stack, since, binding)
                    assert payment.handled() == left
                finally:
                    for one in everybody(bindings, binding.name):
                        put_back(stack, one)
            goes_on(payment, flow, {need.name})
    verdict(stack)


def test_a_closed_entry_refuses_the_notice_and_takes_the_processors_next_one_when_it_is_open_again(
    stack: Stack, bindings: list[Binding], flow: Flow, subtests: pytest.Subtests
) -> None:
    for binding in bindings:
        if need_of(binding).what != "entry":
            continue
        with subtests.test(str(binding)):
            since = next_minute(stack)
            with without(stack, binding):
                payment = send(stack, since, flow.way, wait=False)
                see_refusals(stack, since)
                told(stack, since, binding)
                assert payment.handled() == set()
                status, page = http("POST", stack.status()["services"][binding.name] + "/", b"{}")
                assert status == 403
                assert "roles/run.invoker for allUsers" in page
            reach(payment, flow.hops)
            stack.paid([payment.unique_id])
    verdict(stack)


def test_a_service_that_may_not_read_a_secret_does_not_start_and_the_log_says_why(
    stack: Stack, bindings: list[Binding], flows: list[Flow], subtests: pytest.Subtests
) -> None:
    readers = [one for one in bindings if need_of(one).what == "start"]
    for binding in dose(readers, lambda one: is_open(need_of(one).name)):
        need = need_of(binding)
        with subtests.test(str(binding)):
            lost = {name for name, queue in SYSTEM.queues.items() if queue.receiver == need.name}
            flow = flow_of(flows, lost)
            lost |= {ENTRY} if is_open(need.name) else set()
            since = next_minute(stack)
            with without(stack, binding):
                kill(stack, need.name)
                payment = send(stack, since, flow.way, wait=ENTRY not in lost)
                left = flow.without(lost)
                reach(payment, left)
                see(stack, since, no_start_of(need.name))
                told(stack, since, binding)
                assert payment.handled() == left
                assert ready(stack, need.name) == []
                for entry in entries(stack, since, no_start_of(need.name)):
                    said = entry.get("textPayload") or str(entry["jsonPayload"])
                    assert binding.name in said
                    assert f"{binding.role} for {binding.member} on {binding.resource}" in said
            if ENTRY in lost:
                reach(payment, flow.hops)
            else:
                goes_on(payment, flow, flow.begun(lost))
    verdict(stack)


def test_a_service_that_may_not_read_the_rollouts_record_says_so_works_on_and_reads_it_once_it_may(
    stack: Stack, bindings: list[Binding], flows: list[Flow], subtests: pytest.Subtests
) -> None:
    readers = [one for one in bindings if need_of(one).what == "record"]
    assert all(one.condition for one in readers), "a reader gets the one object"
    for binding in dose(readers, lambda one: bool(SYSTEM.schedules(one.account))):
        unread = f'jsonPayload.service_name="{binding.account}" AND jsonPayload.event="rollout_record_unread"'
        with subtests.test(str(binding)):
            since = next_minute(stack)
            with without(stack, binding):
                stack.advance(RECORD_LIVES)
                work(stack, binding.account, flows)
                see(stack, since, unread)
                told(stack, since, binding)
            since = next_minute(stack)
            assert binding in every(stack)
            work(stack, binding.account, flows)
            assert refusals(stack, since) == []
            assert entries(stack, since, unread) == []
    verdict(stack)


def test_without_their_bindings_scheduler_and_operators_are_refused_and_payments_are_not(
    stack: Stack, bindings: list[Binding], flow: Flow, subtests: pytest.Subtests
) -> None:
    theirs = [binding for binding in bindings if need_of(binding).what in ("schedule", "operator")]
    since = next_minute(stack)
    with without(stack, *theirs):
        payment = send(stack, since, flow.way)
        reach(payment, flow.hops)
        assert refusals(stack, since) == []
    for binding in dose(theirs, lambda one: (need_of(one).what, is_open(one.name))):
        probe = run_job if need_of(binding).what == "schedule" else ask_as_operator
        with subtests.test(str(binding)):
            with without(stack, binding):
                since = now(stack)
                # An open service's door asks nobody; its binding counts where the door is closed.
                assert probe(stack, binding) == is_open(binding.name)
                with without(stack, *everybody(bindings, binding.name)):
                    assert not probe(stack, binding)
                    told(stack, since, binding)
            assert probe(stack, binding)
    verdict(stack)


@pytest.mark.parametrize("what", ["queues", "serviceAccounts", "services"])
def test_a_binding_put_back_after_the_window_finds_the_payment_waiting_and_the_fallback_pays_it(
    stack: Stack, bindings: list[Binding], flow: Flow, what: str
) -> None:
    (queue,) = [name for name, one in SYSTEM.queues.items() if one.token_window and name in flow.hops]
    (binding,) = [one for one in bindings if one.kind == what and need_of(one) == Need("hop", queue)]
    since = next_minute(stack)
    with without(stack, binding):
        payment = send(stack, since, flow.way)
        reach(payment, flow.without({queue}))
        see_refusals(stack, since)
        stack.advance(2 * SAFETY_NET)
        stack.advance(FALLBACK)
        assert not payment.dead()
        assert payment.handled() == flow.without({queue})
    stack.advance(FALLBACK)
    stack.paid([payment.unique_id])
    warnings = stack.json("logs", "--payment", payment.unique_id, "--severity", "WARNING")
    assert "payment_sent_anew" in [entry["jsonPayload"].get("event") for entry in warnings]
    reach(payment, flow.hops)
    verdict(stack)


def test_the_database_roles_decide_whether_an_account_may_connect_and_log_in(
    stack: Stack, bindings: list[Binding], subtests: pytest.Subtests
) -> None:
    asked = {
        "roles/cloudsql.client": "cloudsql.instances.connect",
        "roles/cloudsql.instanceUser": "cloudsql.instances.login",
    }
    for binding in dose([one for one in bindings if need_of(one).what == "database"], lambda one: one.role):
        with subtests.test(str(binding)):
            permission = asked[binding.role]
            assert granted(stack, binding, list(asked.values())) == set(asked.values())
            with without(stack, binding):
                assert granted(stack, binding, list(asked.values())) == set(asked.values()) - {permission}
            assert granted(stack, binding, list(asked.values())) == set(asked.values())


# What the tests do to a stack


@contextmanager
def paused(stack: Stack, queue: str) -> Iterator[None]:
    status = stack.admin("GET", "status")
    path = f"/v2/projects/{status['project']}/locations/{status['location']}/queues/{queue}"
    assert http("POST", f"{stack.rest}{path}:pause", {})[0] == 200
    try:
        yield
    finally:
        assert http("POST", f"{stack.rest}{path}:resume", {})[0] == 200


def kill(stack: Stack, service: str) -> None:
    """End all instances of a service."""
    pids = stack.instances(service)
    for pid in pids:
        if pid:
            os.kill(pid, signal.SIGKILL)
    until(lambda: not set(pids) & set(ready(stack, service)), 10)


def ready(stack: Stack, service: str) -> list[int]:
    """Process ids of instances that serve."""
    instances = stack.admin("GET", "status")["services"][service]["instances"]
    return [one["pid"] for one in instances if one["state"] == "ready"]


def no_start_of(service: str) -> str:
    """How to find what Cloud Run's log says of instances that could not start."""
    return f'resource.labels.service_name="{service}" AND "Permission denied on secret"'


def work(stack: Stack, service: str, flows: list[Flow]) -> None:
    """Let a service do something for which it looks at the record: its scheduled calls, or its part of a payment."""
    if SYSTEM.schedules(service):
        assert run_jobs(stack, service)
    else:
        flow = flow_of(flows, {queue.name for queue in SYSTEM.queues_into(service)})
        payment = send(stack, now(stack), flow.way)
        reach(payment, flow.hops)
        stack.paid([payment.unique_id])


def run_job(stack: Stack, binding: Binding) -> bool:
    """Run the scheduled calls of the binding's service now; whether they were let in."""
    return run_jobs(stack, binding.name)


def run_jobs(stack: Stack, service: str) -> bool:
    """Run a service's scheduled calls now; whether they were let in."""
    status = stack.admin("GET", "status")
    parent = f"/v1/projects/{status['project']}/locations/{status['location']}/jobs"
    results: set[bool] = set()
    for call in SYSTEM.schedules(service):
        since = now(stack)
        assert http("POST", f"{stack.rest}{parent}/{call.job}:run", {})[0] == 200
        see(stack, since, f'resource.labels.job_id="{call.job}" AND jsonPayload.@type:"AttemptFinished"')
        code = int(http("GET", f"{stack.rest}{parent}/{call.job}")[1]["status"].get("code", 0))
        assert code in (0, PERMISSION_DENIED)
        results.add(code == 0)
    (result,) = results
    return result


def ask_as_operator(stack: Stack, binding: Binding) -> bool:
    """Call a door of the service as its operators; whether it let them in."""
    url = stack.status()["services"][binding.name]
    path = SYSTEM.service(binding.name).operator_paths[0].replace("{unique_id}", "NOBODY")
    email = binding.member.removeprefix("serviceAccount:")
    minted = http(
        "POST",
        f"{stack.rest}/v1/projects/-/serviceAccounts/{email}:generateIdToken",
        {"audience": url, "includeEmail": True},
    )[1]["token"]
    status, answer = http("GET", url + path, headers={"Authorization": f"Bearer {minted}"})
    if status == 403:
        assert f"{binding.role} for {binding.member} on {binding.resource}" in answer
    return bool(status != 403)
