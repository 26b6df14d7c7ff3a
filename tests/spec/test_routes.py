"""Routes as a spec: what is refused, who may call directly, and what a stack may say of shares."""

from __future__ import annotations

import pytest

from components.environment import environment
from spec import load
from spec.record import encode, record
from spec.stack import from_flat
from tests.spec.conftest import GCWEBHOOK, PROD, Project

GCSPLIT = "service_code/gcsplit/service.yaml"
ROUTES = "queue_configs/routes.yaml"
SPLIT_HOP = "split-hop: {old: direct, new: queue, queue: split-payment-queue, canary_percent: 100}"


def test_both_hops_of_the_documents_go_by_the_queue_unless_a_stack_says_otherwise(project: Project) -> None:
    assert project.findings() == ()
    system = load(project.root)
    hops = {name: route for name, route in system.routes.items() if route.is_hop}
    assert {name: (hop.queue, hop.canary_percent) for name, hop in hops.items()} == {
        "split-hop": ("split-payment-queue", 100),
        "hostpay-hop": ("hostpay-execution-queue", 100),
    }
    assert set(system.routes_of("gcsplit")) == {"hostpay-hop", "payout", "estimate"}
    assert system.routes_of("gchostpay2") == {}


def test_a_route_that_is_deleted_takes_the_senders_right_to_call_with_it(project: Project) -> None:
    assert "gcwebhook" in load(project.root).invokers("gcsplit")
    project.replace(ROUTES, f"  {SPLIT_HOP}\n", "")
    assert project.findings() == ()
    assert "gcwebhook" not in load(project.root).invokers("gcsplit")


def test_no_other_service_and_no_other_path_may_be_called_directly(project: Project) -> None:
    system = load(project.root)
    direct = {
        (service, path, caller.account_id)
        for service in system.services
        for path, callers in system.callers(service).items()
        for caller in callers
        if caller.why == "direct"
    }
    assert direct == {("gcsplit", "/process_split", "gcwebhook"), ("gchostpay", "/hostpay_webhook", "gcsplit")}


def test_a_stacks_shares_stand_in_the_record_and_make_no_new_revision(project: Project) -> None:
    before = load(project.root, "prod")
    project.replace(PROD, "config:", "config:\n  sluice:canaryPercent: {split-hop: 40, payout: 50, estimate: 5}")
    project.replace(PROD, "config:", "config:\n  sluice:stop: [estimate, gcsplit]")
    project.replace(PROD, "config:", "config:\n  sluice:releases: {gcsplit: {stable: gcsplit-1, canary: gcsplit-2}}")
    system = load(project.root, "prod")
    assert before.stack is not None
    assert system.stack is not None
    for service in system.services:
        assert environment(system, system.stack, service) == environment(before, before.stack, service)
    said = record(system, system.stack)
    assert {name: route["percent"] for name, route in said["routes"].items()} == {
        name: {"split-hop": 40, "payout": 50, "estimate": 0}.get(name, route.canary_percent)
        for name, route in system.routes.items()
    }
    assert said["releases"] == {"gcsplit": {"percent": 0, "salt": "gcsplit-2", "canary": "gcsplit-2"}}
    assert encode(record(before, before.stack)).startswith('{"releases":{},"routes":{"estimate":{"percent":0,"salt":')
    assert encode(said).endswith('"version":1}\n')
    assert environment(system, system.stack, "gchostpay2")["ROUTES"] == "{}"
    flat = from_flat({"sluice:canaryPercent": '{"payout": 7}'})
    assert flat == {"sluice:canaryPercent": {"payout": 7}}
    assert from_flat({"sluice:stop": '["payout"]'}) == {"sluice:stop": ["payout"]}


@pytest.mark.parametrize(
    ("instead", "key"),
    [
        ("{old: direct, new: staged, queue: split-payment-queue}", "routes.split-hop.new"),
        ("{old: direct, new: queue, service: gcsplit}", "routes.split-hop.service"),
        ("{old: direct, new: queue}", "routes.split-hop.queue"),
        ("{old: sync, new: queue, queue: split-payment-queue}", "routes.split-hop.queue"),
        ("{old: telex, new: queue, queue: split-payment-queue}", "routes.split-hop.old"),
        (
            "{old: direct, new: queue, queue: split-payment-queue, canary_percent: 101}",
            "routes.split-hop.canary_percent",
        ),
        (
            "{old: direct, new: queue, queue: split-payment-queue, canary_percent: 0.5}",
            "routes.split-hop.canary_percent",
        ),
        ("{old: direct, new: queue, queue: split-payment-que}", "routes.split-hop.queue"),
        ("{old: sync, new: queue, service: gcwebhok}", "routes.split-hop.service"),
        ("{old: direct, new: queue, queue: hostpay-execution-queue}", "routes.hostpay-hop.queue"),
        ("{old: direct, new: queue, queue: gchostpay3-retry-queue}", "routes.split-hop.queue"),
        ("{old: direct, new: queue, queue: split-payment-queue, percent: 5}", "routes.split-hop.percent"),
    ],
)
def test_what_is_no_route_is_refused_at_its_key(project: Project, instead: str, key: str) -> None:
    project.replace(ROUTES, SPLIT_HOP, f"split-hop: {instead}")
    found = [error for error in project.errors() if error.key == key]
    assert found, project.errors()
    assert (str(found[0].where.file), bool(found[0].breaks), bool(found[0].fix)) == (ROUTES, True, True)


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        (
            "registration: {old: sync, new: queue, service: gcregister}",
            "registration: {old: single, new: staged, service: gcregister, canary_percent: 100}",
            [(ROUTES, "routes.registration.old", "gcregister knows registration as sync/queue, not as single/staged")],
        ),
        (
            "payout: {old: single,",
            "staging: {old: single, new: staged, service: gchostpay2}\n  payout: {old: single,",
            [(ROUTES, "routes.staging.service", "gchostpay2 does not choose on a route staging")],
        ),
        (
            "payout: {old: single,",
            "payouts: {old: single,",
            [
                (ROUTES, "routes.payouts.service", "gcsplit does not choose on a route payouts"),
                (GCSPLIT, "chooses.payout", "there is no route 'payout'"),
            ],
        ),
        (
            "payout: {old: single, new: staged, service: gcsplit}",
            "payout: {old: single, new: staged, service: gcwebhook}",
            [
                (ROUTES, "routes.payout.service", "gcwebhook does not choose on a route payout"),
                (GCSPLIT, "chooses.payout", "the route payout is gcwebhook's"),
            ],
        ),
    ],
    ids=["another pair of ways", "a service that never chooses", "renamed", "moved to another service"],
)
def test_a_route_is_what_its_services_code_chooses_on(
    project: Project, old: str, new: str, places: list[tuple[str, str, str]]
) -> None:
    project.replace(ROUTES, old, new)
    errors = project.errors()
    assert sorted((str(error.where.file), error.key, error.what) for error in errors) == places
    assert all(error.breaks and error.fix for error in errors)


def test_the_name_that_was_meant_and_the_ways_that_are_known_are_told(project: Project) -> None:
    project.replace(ROUTES, "payout: {old: single,", "payouts: {old: single,")
    assert any("did you mean payout?" in error.fix for error in project.errors())
    project.replace(ROUTES, "payouts: {old: single, new: staged,", "payout: {old: inline, new: queue,")
    assert "write {old: single, new: staged, ...}" in project.only_error().fix


def test_a_service_that_chooses_does_without_no_file_of_routes(project: Project) -> None:
    (project.root / ROUTES).unlink()
    assert {(str(error.where.file), error.key) for error in project.errors()} == {
        (GCSPLIT, "chooses.payout"),
        (GCSPLIT, "chooses.estimate"),
        ("service_code/paynowwebhook/service.yaml", "chooses.paynow"),
        ("service_code/gcregister/service.yaml", "chooses.registration"),
    }


def test_a_sender_whose_requests_are_cut_off_before_the_direct_call_is_given_up_is_refused(project: Project) -> None:
    project.replace(GCWEBHOOK, "timeout: 45s", "timeout: 44s")
    error = project.only_error()
    assert (str(error.where.file), error.key) == (GCWEBHOOK, "timeout")
    assert "may wait 30s for gcsplit" in error.what


@pytest.mark.parametrize(
    ("shares", "what"),
    [
        ("{split-hope: 5}", "there is no route"),
        ("{payout: 101}", "above 100"),
        ("{payout: half}", "not a whole number"),
    ],
)
def test_a_share_that_a_stack_cannot_mean_is_refused(project: Project, shares: str, what: str) -> None:
    project.replace(PROD, "config:", f"config:\n  sluice:canaryPercent: {shares}")
    assert what in project.only_error().what


def test_a_list_of_routes_at_another_place_is_refused(project: Project) -> None:
    (project.root / ROUTES).rename(project.root / "queue_configs/routes.yml")
    assert any("does not belong here" in error.what for error in project.errors())
