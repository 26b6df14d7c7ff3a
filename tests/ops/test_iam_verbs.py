"""`sluice iam` against a local cloud: what it prints, and what it changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.registry import Principal
from ops import app
from tests.local_cloud.cloud_places import Place, inside

PROJECT = "projects/sluice-local"
SPLIT = "serviceAccount:gcsplit@sluice-local.iam.gserviceaccount.com"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("iam-verbs") / "state") as made:
        made.do(_prepare)
        yield made


async def _prepare(cloud: Cloud) -> None:
    iam = cloud.iam
    iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
    roles = ("logging.logWriter", "cloudtasks.viewer", "cloudsql.client")
    bindings = [{"role": f"roles/{role}", "members": [SPLIT]} for role in roles]
    iam.set_policy(PROJECT, message("google.iam.v1.Policy")(bindings=bindings))
    iam.require(Principal(SPLIT), "cloudtasks.queues.list", PROJECT)
    with pytest.raises(ApiError):
        iam.require(Principal(SPLIT), "run.services.list", PROJECT)


@pytest.fixture
def run(place: Place, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str, code: int = 0) -> str:
        assert app.main(["iam", *arguments, "--cloud", place.rest]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return call


def test_unused_bindings_are_told_from_those_that_cannot_be_needed_here(run: Run) -> None:
    shown = run("unused")
    assert "1 unused binding" in shown
    assert f"roles/logging.logWriter  {SPLIT}  {PROJECT}" in shown
    assert "Postgres on this machine trusts loopback" in shown
    assert "1 binding used; --all shows for what" in shown
    assert "cloudtasks.queues.list 1" in run("unused", "--all")
    assert [one["role"] for one in json.loads(run("unused", "--json"))["unused"]] == ["roles/logging.logWriter"]


def test_decisions_say_what_let_a_caller_through(run: Run) -> None:
    shown = run("decisions", "--principal", "gcsplit")
    assert f"roles/cloudtasks.viewer on {PROJECT}" in shown
    refused = run("decisions", "--refused", "--permission", "run.services")
    assert "refused" in refused
    assert "granted" not in refused
    assert len(json.loads(run("decisions", "--limit", "1", "--json"))["decisions"]) == 1
    assert "no decision fits" in run("decisions", "--principal", "nobody-of-this-name")


def test_mode_and_delay_are_shown_and_changed(run: Run) -> None:
    assert run("mode").startswith("enforce: ")
    assert run("mode", "audit").startswith("audit: ")
    assert "the mode is audit" in run("unused")
    run("mode", "enforce")
    assert "no mode" in run("mode", "lax", code=2)
    assert "after 120 s" in run("delay", "2m")
    assert "after 120 s" in run("delay")
    assert json.loads(run("delay", "0s", "--json")) == {"mode": "enforce", "delay": 0, "spreading": []}
    refused = run("delay", "soon", code=2)
    assert "no duration" in refused
    assert "clock" not in refused
