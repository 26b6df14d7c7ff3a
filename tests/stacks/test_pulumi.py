"""Pulumi's own engine and the gcp provider apply the program to the local cloud; skipped where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import local_engine
from local_engine import ForeignOwnerError, Ports, Result
from tests.components.conftest import DIGEST
from tests.local_engine.local_cloud import call, running
from tests.stacks.pulumi_cli import ROOT, Pulumi
from tests.stacks.same_plan import differences
from tests.stacks.test_apply import LAYERS, VALUE, apply, furnish

pytestmark = pytest.mark.engine

PROJECT = "projects/sluice-local"
REGION = f"{PROJECT}/locations/us-central1"
#: Every collection in which the two layers make something.
COLLECTIONS = (
    f"/v2/{REGION}/queues",
    f"/v2/{REGION}/services",
    f"/v2/{REGION}/jobs",
    f"/v1/{REGION}/jobs",
    f"/v1/{REGION}/repositories",
    f"/v1/{PROJECT}/secrets",
    f"/v1/{PROJECT}/serviceAccounts",
    f"/v1/{PROJECT}/roles",
    f"/sql/v1beta4/{PROJECT}/instances",
)


@pytest.fixture
def pulumi(tmp_path: Path) -> Pulumi:
    return Pulumi(tmp_path / "pulumi")


@pytest.fixture
def local_cloud(pulumi: Pulumi, tmp_path: Path) -> Iterator[Ports]:
    with running(tmp_path) as ports:
        yield ports


def config(layer: str, ports: Ports) -> dict[str, Any]:
    return local_engine.stack_config(ROOT, layer, image_of(layer), ports)


def left(ports: Ports) -> dict[str, Any]:
    answers = {path: call(ports, "GET", path)[1] for path in COLLECTIONS}
    policy = call(ports, "POST", f"/v1/{PROJECT}:getIamPolicy")[1]
    return {path: found for path, found in answers.items() if found.keys() - {"kind"}} | (
        {"policy": policy["bindings"]} if policy.get("bindings") else {}
    )


def test_pulumi_deploys_finds_nothing_more_to_do_and_leaves_nothing(
    pulumi: Pulumi, local_cloud: Ports, tmp_path: Path
) -> None:
    before = left(local_cloud)
    for layer in LAYERS:
        pulumi.init(layer, config(layer, local_cloud))
        if layer == "local":
            furnish(local_cloud, tmp_path / "image")
        pulumi.up(layer, "--skip-preview")
    for layer in LAYERS:
        assert VALUE not in pulumi.run("stack", "export", "--show-secrets", "--stack", layer), "no state has a secret"
    for layer in LAYERS:
        assert differences(previewed(layer, config(layer, local_cloud)), pulumi.held(layer)) == []
    full = left(local_cloud)
    assert set(full) >= set(COLLECTIONS), "what is looked at is what was made"
    for layer in LAYERS:
        pulumi.up(layer, "--expect-no-changes")
        pulumi.refresh(layer)
        pulumi.up(layer, "--refresh", "--expect-no-changes")
    queue = f"/v2/{REGION}/queues/split-payment-queue"
    declared = call(local_cloud, "GET", queue)[1]["rateLimits"]
    call(local_cloud, "PATCH", f"{queue}?updateMask=rateLimits", {"rateLimits": {"maxDispatchesPerSecond": 7}})
    assert "=> 7" in pulumi.run("refresh", "--yes", "--diff", "--stack", "local")
    pulumi.up("local", "--skip-preview")
    assert call(local_cloud, "GET", queue)[1]["rateLimits"] == declared
    with pytest.raises(ForeignOwnerError, match="pulumi destroy"):
        apply("foundation-local", tmp_path / "engine", {}, local_cloud)
    for layer in reversed(LAYERS):
        pulumi.destroy(layer)
    assert left(local_cloud) == before


def test_pulumi_is_refused_where_sluice_up_has_deployed(pulumi: Pulumi, local_cloud: Ports, tmp_path: Path) -> None:
    apply("foundation-local", tmp_path / "engine", {}, local_cloud)
    standing = left(local_cloud)
    pulumi.init("foundation-local", config("foundation-local", local_cloud))
    said = pulumi.run("up", "--yes", "--stack", "foundation-local", ok=False)
    assert "belongs to `./sluice up` (stack foundation-local)" in said
    assert left(local_cloud) == standing
    result = apply("foundation-local", tmp_path / "engine", {}, local_cloud)
    assert (result.changed, result.writes) == (False, 0)


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_pulumi_previews_what_goes_to_google_with_no_network_and_as_the_local_engine_does(
    pulumi: Pulumi, environment: str
) -> None:
    foundation = f"foundation-{environment}"
    planned = {stack: previewed(stack) for stack in (foundation, environment)}
    for stack, plan in planned.items():
        pulumi.init(stack, local_engine.stack_config(ROOT, stack, image_of(stack)))
        if stack == environment:
            pulumi.pretend(foundation, planned[foundation].outputs)
        assert differences(plan, pulumi.planned(stack)) == []


def previewed(stack: str, overrides: dict[str, Any] | None = None) -> Result:
    given = image_of(stack) if overrides is None else overrides
    result = local_engine.run(stack, root=ROOT, mode="preview", state_dir=None, offline=True, overrides=given)
    assert result.ok, result.problems
    return result


def image_of(stack: str) -> dict[str, str]:
    return {} if stack.startswith("foundation-") else {"sluice:imageDigest": DIGEST}
