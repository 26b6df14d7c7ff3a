"""What runs in GitHub's jobs: pinned, without keys, with commands that exist; and the comment that they keep."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.home import ROOT
from tests.test_docs import unknown

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
COMMENT = ROOT / ".github/comment"


def jobs(name: str) -> list[dict[str, Any]]:
    return list(WORKFLOWS[name]["jobs"].values())


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in jobs(name) for step in job.get("steps", [])]


def scripts(name: str) -> list[str]:
    return [line for step in steps(name) for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_its_commit(name: str) -> None:
    used = re.findall(r"uses: (\S+)(.*)", (FOLDER / f"{name}.yml").read_text())
    for action, comment in used:
        if action.startswith("./"):
            assert (ROOT / action).is_file(), action
        else:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.match(r" # v\d+\.\d+\.\d+$", comment), f"{action}: say its version"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_job_has_a_key_or_more_rights_than_it_says(name: str) -> None:
    text, flow = (FOLDER / f"{name}.yml").read_text(), WORKFLOWS[name]
    assert "secrets." not in text
    assert "credentials_json" not in text
    assert "pull_request_target" not in text, "it would run a fork's code with our rights"
    assert set(flow["permissions"].values()) <= {"read", "write"}
    assert flow["permissions"].get("contents") == "read"
    writes = {(key, job.get("environment") is not None) for job in jobs(name) for key in job.get("permissions", {})}
    assert all(key in ("contents", "id-token", "pull-requests", "security-events") for key, _ in writes)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_others_write_never_becomes_a_command(name: str) -> None:
    for line in scripts(name):
        assert "${{" not in line, f"{line}: hand it over in env"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_command_of_ours_has_the_options_that_are_used(name: str) -> None:
    ours = [line.partition("./sluice ")[2] for line in scripts(name) if line.startswith("./sluice ")]
    assert [found for line in ours for found in unknown(line.partition(" >")[0])] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_command_that_fails_before_a_pipe_fails_its_step(name: str) -> None:
    """GitHub's own shell is bash -e; `shell: bash` alone is bash -eo pipefail."""
    flow = WORKFLOWS[name]
    for job in jobs(name):
        of_job = job.get("defaults", flow.get("defaults", {})).get("run", {}).get("shell")
        assert {step.get("shell", of_job) for step in job.get("steps", ()) if "run" in step} <= {"bash"}


def test_the_deployers_jobs_run_nothing_of_a_dev_chain_and_no_image_that_may_change() -> None:
    chosen = re.search(r"^  (.+)\) kind=cloud", (ROOT / "sluice").read_text(), re.MULTILINE)
    assert chosen
    cloud = set(chosen[1].split(" | "))
    for name in ("image", "plan", "preview", "up"):
        used = {line.partition("./sluice ")[2].split()[0] for line in scripts(name) if line.startswith("./sluice ")}
        assert used <= cloud, name
        assert {line for line in scripts(name) if "scripts/prepare" in line} <= {"scripts/prepare cloud"}
        for job in jobs(name):
            image = str(job.get("container", ""))
            assert not image or "@sha256:" in image, f"{image} may be another one tomorrow"


def test_what_no_stack_has_yet_is_not_previewed_by_pulumi_and_nothing_fails_of_it() -> None:
    (plan,) = jobs("plan")
    (asked,) = [step for step in plan["steps"] if step.get("id") == "ci"]
    assert "--if-configured" in asked["run"]
    after = plan["steps"][plan["steps"].index(asked) + 1 :]
    assert after
    assert {step["if"] for step in after} == {"steps.ci.outputs.provider != ''"}


def test_an_apply_needs_an_approval_and_a_preview_before_it() -> None:
    applying = [
        job
        for name in WORKFLOWS
        for job in jobs(name)
        if any("pulumi up" in step.get("run", "") for step in job.get("steps", []))
    ]
    assert applying
    for job in applying:
        assert job["environment"] == "${{ inputs.environment }}"
        assert job["needs"] == "plan"
        assert job["concurrency"]["cancel-in-progress"] is False


def test_what_the_suite_leaves_out_is_run_each_night() -> None:
    flow = WORKFLOWS["proofs"]
    assert flow[True]["schedule"]  # YAML reads `on` as a truth
    assert scripts("proofs") == ["make proofs"]
    assert re.search(r"^proofs: .*\n\t@SLUICE_WHOLE=1 .* tests/runbook$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_pulumi_previews_every_environment_of_the_repository() -> None:
    (matrix,) = [job["strategy"]["matrix"]["environment"] for job in jobs("preview") if "strategy" in job]
    stacks = {path.stem.removeprefix("Pulumi.") for path in (ROOT / "stacks").glob("Pulumi.*.yaml")}
    assert set(matrix) == {stack for stack in stacks if not stack.startswith("foundation-")} - {"local"}


# The comment

FAKE = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["ASKED"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if "--jq" in sys.argv:
    print(os.environ["FOUND"])
"""


def commented(folder: Path, text: str, found: str) -> list[list[str]]:
    """What the script asks of gh, after its question for the comment that is there."""
    (folder / "gh").write_text(FAKE)
    (folder / "gh").chmod(0o755)
    (folder / "comment.md").write_text(text)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "FOUND": found}
    environment |= {"GITHUB_REPOSITORY": "acme/pay", "ASKED": str(folder / "asked")}
    subprocess.run([COMMENT, "7", str(folder / "comment.md")], env=environment, check=True, timeout=60)
    question, *asked = [json.loads(line) for line in (folder / "asked").read_text().splitlines()]
    assert "repos/acme/pay/issues/7/comments" in question
    return asked


@pytest.mark.parametrize(
    ("text", "found", "asked"),
    [
        ("", "", []),
        ("new", "", [("POST", "repos/acme/pay/issues/7/comments")]),
        ("new", "41\n42", [("PATCH", "repos/acme/pay/issues/comments/41")]),
        ("", "41", [("DELETE", "repos/acme/pay/issues/comments/41")]),
    ],
    ids=["nothing changes", "the first", "a later one", "taken back"],
)
def test_one_comment_is_kept(tmp_path: Path, text: str, found: str, asked: list[tuple[str, str]]) -> None:
    calls = commented(tmp_path, text, found)
    assert [(call[call.index("--method") + 1], call[call.index("--method") + 2]) for call in calls] == asked


def test_a_preview_that_wrote_nothing_is_no_comment_to_take_away(tmp_path: Path) -> None:
    done = subprocess.run([COMMENT, "7", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "none is not there" in done.stderr
