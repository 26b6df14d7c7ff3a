"""The load balancer before public services: planned as the provider takes it, and the only way in where it stands."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

import local_engine
from components.edge import Edge, EdgeConfig
from components.site import Site
from local_engine import Result, Step
from local_engine.resources import registry
from spec import SpecErrors, load
from spec.edge import Edge as EdgeSpec
from tests.components.conftest import of_type, planned

ROOT = Path(__file__).parents[2]
PUBLIC = sorted(name for name, service in load(ROOT).services.items() if service.public)
PARTNERS = [f"203.0.113.{number}/32" for number in range(12)]
EDGE = {
    "domain": "pay.example.com",
    "armor": {"rate_per_minute": 100, "allow": {"gcwebhook": PARTNERS, "gchostpay4": ["198.51.100.0/24"]},
              "only": ["gchostpay4"]},
}  # fmt: skip


@cache
def behind(doors: tuple[str, ...] = ()) -> Result:
    """The plan of prod with an edge; with doors, of these alone."""
    result = local_engine.run(
        "prod",
        root=ROOT,
        mode="preview",
        state_dir=None,
        offline=True,
        overrides={"sluice:edge": EDGE},
        program=partial(edge_alone, doors) if doors else None,
    )
    assert result.ok, result.problems
    return result


def edge_alone(doors: tuple[str, ...]) -> None:
    system = load(ROOT, "prod")
    assert system.stack is not None
    config = EdgeConfig(site=Site.of(system.stack), spec=EdgeSpec.model_validate(EDGE), services=doors)
    Edge("edge", config)


def real(result: Result, token: str) -> dict[str, Step]:
    return {step.name: step for step in of_type(result, token) if step.custom}


def rules(service: str) -> dict[int, dict[str, Any]]:
    policy = real(behind(), "SecurityPolicy")[f"sluice-edge-{service}"]
    return {rule["priority"]: rule for rule in policy.inputs["rules"]}


def test_it_is_an_option_and_off_unless_asked_for() -> None:
    for stack in ("dev", "staging", "prod", "local"):
        assert not [step for step in planned(stack).steps if "/backendService" in step.type]
        ingress = {step.name: step.inputs["ingress"] for step in real(planned(stack), "Service").values()}
        assert {ingress[name] for name in PUBLIC} == {"INGRESS_TRAFFIC_ALL"}


def test_public_services_are_reached_through_it_alone_and_others_as_before() -> None:
    before, after = (
        {name: step.inputs["ingress"] for name, step in real(plan, "Service").items() if "cloudrunv2" in step.type}
        for plan in (planned("prod"), behind())
    )
    assert {name for name in after if after[name] != before[name]} == set(PUBLIC)
    assert {after[name] for name in PUBLIC} == {"INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"}


def test_every_public_service_has_a_name_a_backend_and_a_policy_of_its_own() -> None:
    routes = real(behind(), "URLMap")["edge"].inputs
    assert [rule["hosts"] for rule in routes["hostRules"]] == [[f"{name}.pay.example.com"] for name in PUBLIC]
    groups = real(behind(), "RegionNetworkEndpointGroup")
    assert sorted(step.inputs["cloudRun"]["service"] for step in groups.values()) == PUBLIC
    for token in ("BackendService", "SecurityPolicy"):
        assert sorted(real(behind(), token)) == [f"sluice-edge-{name}" for name in PUBLIC]
    assert real(behind(), "GlobalForwardingRule")["edge"].inputs["portRange"] == "443"
    assert behind().outputs["doors"]["gcwebhook"] == "https://gcwebhook.pay.example.com"


def test_another_service_takes_no_certificate_from_those_that_stand() -> None:
    """A certificate that waits for its name's DNS leaves the others as they are: each is for one name."""
    before, after = (
        {step.urn: step.inputs for step in real(behind(tuple(doors)), "ManagedSslCertificate").values()}
        for doors in (PUBLIC[1:], PUBLIC)
    )
    assert len(before) == len(PUBLIC) - 1
    assert before.items() <= after.items()
    (new,) = after.keys() - before.keys()
    assert after[new]["managed"]["domains"] == [f"{PUBLIC[0]}.pay.example.com"]
    assert len({inputs["name"] for inputs in after.values()}) == len(PUBLIC)
    proxy = real(behind(tuple(PUBLIC)), "TargetHttpsProxy")["edge"].inputs
    assert len(proxy["sslCertificates"]) == len(PUBLIC)


def test_audiences_and_calls_among_services_do_not_move() -> None:
    for name, step in real(planned("prod"), "Service").items():
        if "cloudrunv2" in step.type:
            assert step.inputs["template"] == real(behind(), "Service")[name].inputs["template"]


def test_rates_are_limited_but_for_partners_and_other_names_find_nothing() -> None:
    found = rules("gcwebhook")
    assert found[1000]["action"] == "deny(404)"
    assert "gcwebhook.pay.example.com" in found[1000]["match"]["expr"]["expression"]
    listed = [rule["match"]["config"]["srcIpRanges"] for rule in found.values() if rule["action"] == "allow"][:2]
    assert [len(ranges) for ranges in listed] == [10, 2], "a rule of Cloud Armor takes ten"
    limit = found[5000]["rateLimitOptions"]
    assert (limit["rateLimitThreshold"], limit["exceedAction"]) == ({"count": 100, "intervalSec": 60}, "deny(429)")
    attacks = [rule for priority, rule in found.items() if 4000 <= priority < 5000]
    assert {rule["preview"] for rule in attacks} == {True}, "a notice of a payment is not lost to a guess"
    assert max(found) == 2147483647


def test_who_is_open_to_a_list_alone_refuses_everybody_else() -> None:
    found = rules("gchostpay4")
    assert found[3000]["action"] == "deny(403)"
    assert found[3000]["match"]["config"]["srcIpRanges"] == ["*"]
    assert 5000 not in found


def test_the_address_that_partners_know_is_guarded_by_a_word() -> None:
    assert real(behind(), "GlobalAddress")["edge"].protect


def test_the_local_engine_plans_it_and_refuses_to_apply_it(tmp_path: Path) -> None:
    kinds = {step.type for step in behind().steps} - {step.type for step in planned("prod").steps}
    new = {token for token in kinds if token in registry() and registry()[token].previewed_only}
    assert len(new) == 7

    def program() -> None:
        import pulumi_gcp as gcp

        gcp.compute.SecurityPolicy("p", name="p")

    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text("config: {gcp:project: p, gcp:computeCustomEndpoint: x}\n")
    result = local_engine.run("local", root=tmp_path, mode="up", state_dir=tmp_path / "state", program=program)
    assert result.writes == result.reads == 0
    (problem,) = result.problems
    assert "the local cloud does not have this type" in problem.what
    assert "`pulumi up` makes it on Google Cloud" in problem.fix


@pytest.mark.parametrize("stack", ["local", "foundation-prod"])
def test_where_no_load_balancer_can_stand_it_is_refused(stack: str) -> None:
    with pytest.raises(SpecErrors, match="has no load balancer"):
        local_engine.run(
            stack, root=ROOT, mode="preview", state_dir=None, offline=True, overrides={"sluice:edge": EDGE}
        )
