"""Operator verbs while the specs are in the middle of an edit: they go by what is deployed, or a stack's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ops import app, operator, place, rest, specs
from ops.home import ROOT, Home

URL = "http://127.0.0.1:1/run/gcsplit-1.us-central1"


class DeployedCloud:
    """Stands for a running stack's cloud that serves one service."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def status(self) -> dict[str, Any]:
        services = {"gcsplit": {"url": URL}}
        return {"project": "p", "project_number": 1, "location": "us-central1", "services": services, "queues": {}}

    def admin(self, _method: str, _path: str) -> dict[str, Any]:
        return {"now": "2026-11-23T00:00:00+00:00"}

    def as_account(self, email: str, audience: str) -> Mapping[str, str]:
        return {"Authorization": f"{email} for {audience}"}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project whose specs are refused: nothing in it is YAML but one stack's file."""
    for path in ("queue_configs/tasks/a-queue.yaml", "service_code/a/service.yaml", "stacks/Pulumi.local.yaml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("to: {")
    (tmp_path / "stacks/Pulumi.prod.yaml").write_bytes((ROOT / "stacks/Pulumi.prod.yaml").read_bytes())
    monkeypatch.setattr(specs, "ROOT", tmp_path)
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.usefixtures("broken")
def test_an_operator_is_served_while_the_specs_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Any, ...]] = []

    def call(method: str, url: str, body: Any = None, *, headers: Mapping[str, str]) -> Any:
        asked.append((method, url, body, headers["Authorization"]))
        return {"failed_transactions": [], "next": None}

    for module in (operator, place):
        monkeypatch.setattr(module, "LocalCloud", DeployedCloud)
    monkeypatch.setattr(rest, "call", call)
    assert app.main(["dead", "list", "--kind", "payment"]) == 0
    assert "nothing is recorded like this" in capsys.readouterr().out
    account = "sluice-operator@p.iam.gserviceaccount.com"
    assert asked == [("GET", f"{URL}/failed-transactions?status=open", None, f"{account} for {URL}")]
    assert app.main(["wallet", "show"]) == 1
    assert "the service gchostpay is not deployed" in capsys.readouterr().err


@pytest.mark.usefixtures("broken")
def test_a_stack_on_google_cloud_is_known_by_its_own_file() -> None:
    assert specs.config_of("prod").project == "sluice-prod"


@pytest.mark.usefixtures("broken")
def test_only_who_would_deploy_says_that_nothing_was(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, said in (("diagram", False), ("up", True)):
        assert app.main([verb]) == 1
        refusal = capsys.readouterr().err
        assert "a-queue.yaml" in refusal
        assert ("nothing was deployed" in refusal) is said
