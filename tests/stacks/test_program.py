"""The program and its stacks: short, complete, and applied as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import local_engine
from local_engine import Ports
from local_engine.config import endpoints
from local_engine.resources import registry
from tests.components.conftest import DIGEST, planned

ROOT = Path(__file__).parents[2]
ENVS = ("local", "dev", "staging", "prod")
STACKS = [prefix + env for env in ENVS for prefix in ("foundation-", "")]


def test_the_program_is_short() -> None:
    assert len((ROOT / "stacks" / "__main__.py").read_text().splitlines()) <= 40


def test_every_environment_has_its_two_layers() -> None:
    files = {path.name for path in (ROOT / "stacks").glob("Pulumi.*.yaml")}
    assert files == {f"Pulumi.{stack}.yaml" for stack in STACKS}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_names_its_schema_first(stack: str) -> None:
    first = (ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../queue_configs/schema/stack.json"


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_needs_neither_network_nor_state(stack: str) -> None:
    result = planned(stack)
    assert result.compared_with == "nothing (no saved state)"
    assert (result.reads, result.writes) == (0, 0)
    assert set(result.counts) == {"create"}
    assert all(step.type in registry() for step in result.steps if step.custom)


def test_every_product_that_the_local_stacks_use_has_its_endpoint() -> None:
    for stack in ("foundation-local", "local"):
        given = endpoints(local_engine.stack_config(ROOT, stack))
        used = {registry()[step.type].endpoint for step in planned(stack).steps if step.custom}
        assert used <= set(given)


def test_the_provider_finds_the_project_under_either_of_its_names_for_resource_manager() -> None:
    for stack in ("foundation-local", "local"):
        given = endpoints(local_engine.stack_config(ROOT, stack))
        assert given["resourceManager"] == given["cloudResourceManager"], "the provider of 2026 asks the first"


def test_the_default_ports_are_those_of_the_local_stack() -> None:
    moved = Ports(rest=1, grpc=2, service_rest=3, service_grpc=4, sandbox=5, chain=6, postgres=7)
    config = str(local_engine.stack_config(ROOT, "local", ports=moved))
    assert "127.0.0.1:85" not in config
    assert "postgresql://{user}@127.0.0.1:7/payments" in config
    assert "http://127.0.0.1:5/telegram" in config


def test_pulumi_finds_program_and_stacks() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert project["name"] == local_engine.PROJECT
    assert (project["main"], project["stackConfigDir"]) == ("stacks/", "stacks")
    assert project["runtime"] == {"name": "python", "options": {"virtualenv": ".venv"}}


def test_a_stack_without_an_image_says_so() -> None:
    result = local_engine.run("local", root=ROOT, mode="preview", state_dir=None, offline=True)
    assert "sluice:imageDigest" in str(result.problems[0])


def test_an_app_is_not_applied_before_its_foundation(tmp_path: Path) -> None:
    result = local_engine.run(
        "local", root=ROOT, mode="up", state_dir=tmp_path, overrides={"sluice:imageDigest": DIGEST}
    )
    assert "foundation-local has not been applied" in str(result.problems[0])
    assert result.writes == result.reads == 0
