"""A pipeline's job learns from the stack's config alone who it may become."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops import app, specs

NAMES = """# yaml-language-server: $schema=../queue_configs/schema/stack.json
config:
  gcp:project: acme-staging
  gcp:region: us-central1
  sluice:projectNumber: "100000000002"
"""
CI = "  sluice:ci: {repository: acme/pay, state_bucket: acme-staging-pulumi}\n"


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr(specs, "ROOT", tmp_path)
    return tmp_path / "stacks"


def test_a_job_gets_names_as_lines_that_its_output_takes(stacks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stacks / "Pulumi.foundation-staging.yaml").write_text(NAMES + CI)
    assert app.main(["ci", "--stack", "staging", "--as", "deployer"]) == 0
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert lines == {
        "provider": "projects/100000000002/locations/global/workloadIdentityPools/sluice-ci/providers/github",
        "account": "sluice-deployer@acme-staging.iam.gserviceaccount.com",
        "project": "acme-staging",
        "region": "us-central1",
        "state": "gs://acme-staging-pulumi",
        "images": "us-central1-docker.pkg.dev/acme-staging/sluice/services",
    }
    assert app.main(["ci", "--stack", "staging", "--as", "previewer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["account"].startswith("sluice-previewer@")


def test_a_stack_that_no_pipeline_deploys_yet_may_be_passed_over(
    stacks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("ci", "--stack", "staging", "--as", "previewer", "--if-configured")
    (stacks / "Pulumi.foundation-staging.yaml").write_text(NAMES)
    assert app.main([*words]) == 0
    told = capsys.readouterr()
    assert (told.out, "has no sluice:ci" in told.err) == ("", True)
    (stacks / "Pulumi.foundation-staging.yaml").write_text(NAMES + CI)
    assert app.main([*words]) == 0
    assert "provider=projects/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "words", "said"),
    [
        (NAMES, ["--stack", "staging"], "has no sluice:ci"),
        (NAMES + "  sluice:ci: {repository: acme/pay}\n", ["--stack", "staging"], "names no state_bucket"),
        (NAMES + CI, ["--stack", "foundation-staging"], "is a layer"),
        (NAMES + CI, ["--stack", "stagin"], "foundation-staging"),
        (NAMES + CI, ["--stack", "local"], "is on this machine"),
    ],
)
def test_what_is_missing_is_named(
    stacks: Path, capsys: pytest.CaptureFixture[str], config: str, words: list[str], said: str
) -> None:
    (stacks / "Pulumi.foundation-staging.yaml").write_text(config)
    assert app.main(["ci", *words, "--as", "previewer"]) != 0
    assert said in capsys.readouterr().err
