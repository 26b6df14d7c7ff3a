"""What a change does, said before it is merged: the other commit's own plan, compared with this one's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_engine import Change, Op, Result, Step, compare
from ops.app import main
from ops.home import ROOT
from ops.since import checkout, report

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not on PATH")

QUEUE = "gcp:cloudtasks/queue:Queue"
MEMBER = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"


def step(called: str, kind: str = QUEUE, op: Op = Op.CREATE, **inputs: Any) -> Step:
    return Step(op=op, urn=f"urn:pulumi:prod::sluice::{kind}::{called}", type=kind, name=called, inputs=inputs)


def plan(*steps: Step) -> Result:
    return Result(stack="prod", mode="preview", compared_with="nothing", steps=list(steps))


def changes(before: Result | None, after: Result) -> dict[str, Op]:
    old = json.loads(json.dumps(before.as_json())) if before else None
    return {one.name: one.op for one in compare(old, after, "HEAD").steps}


def test_two_plans_are_compared_as_an_apply_would() -> None:
    before = plan(
        step("same", name="same", location="l"),
        step("paused", name="paused", location="l", desiredState="RUNNING"),
        step("renamed", name="old", location="l"),
        step("gone", name="gone", location="l"),
    )
    after = plan(
        step("same", name="same", location="l"),
        step("paused", name="paused", location="l", desiredState="PAUSED"),
        step("renamed", name="new", location="l"),
        step("fresh", name="fresh", location="l"),
    )
    assert changes(before, after) == {
        "same": Op.SAME,
        "paused": Op.UPDATE,
        "renamed": Op.REPLACE,
        "fresh": Op.CREATE,
        "gone": Op.DELETE,
    }
    assert set(changes(None, after).values()) == {Op.CREATE}
    assert set(changes(after, after).values()) == {Op.SAME}


def compared(*steps: Step) -> report.Compared:
    side = report.Side(system=None, below=None)
    return report.Compared(stack="prod", layers=[plan(*steps)], before=side, after=side)


def test_nothing_is_written_where_nothing_changes() -> None:
    assert report.markdown([compared(step("a", op=Op.SAME))], "HEAD") == ""


def test_what_is_dangerous_stands_out() -> None:
    found = step("a|b", op=Op.REPLACE)
    change = Change(path="name", kind="update", old="x", new="y", replaces=True)
    opened = step("door", MEMBER, name="gcwebhook", member="allUsers", role="roles/run.invoker")
    text = report.markdown([compared(replace(found, changes=(change,), protect=True), opened)], "origin/main")
    assert text.startswith(report.MARK)
    assert "| **replace** | `Queue` | `a\\|b` | `name`: x → y (forces replacement) |" in text
    assert "| create | **everybody** | `roles/run.invoker` | `gcwebhook` |" in text


def test_long_tables_are_cut_and_say_so() -> None:
    text = report.markdown([compared(*(step(f"q{number}") for number in range(60)))], "HEAD")
    assert text.count("| create |") == report.MOST
    assert "20 more" in text


def test_a_comment_is_never_longer_than_what_can_be_posted() -> None:
    long = [step(f"q{number}-{'x' * 2000}") for number in range(40)]
    text = report.markdown([compared(*long)], "HEAD")
    assert 50_000 < len(text) < 65_536
    assert "Cut here" in text.splitlines()[-1]
    assert all(line.endswith("|") for line in text.splitlines() if line.startswith("| create"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This tree as a repository of its own with one commit, so that the one at hand is left alone."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this tree is no git repository")
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        unneeded = name.startswith(("tests/", "local_cloud/apis", "docs/")) and name != "docs/runbook.md"
        if (ROOT / name).is_file() and not unneeded:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com"}
    who |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com"}
    for words in (["init", "-q", "-b", "main"], ["add", "-A", "-f"], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, env={**os.environ, **who})
    return folder


def sluice(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_a_slower_queue_is_told_as_resource_and_timeline_and_nothing_else(clone: Path, tmp_path: Path) -> None:
    path, comment = clone / "queue_configs/tasks/split-payment-queue.yaml", tmp_path / "comment.md"
    kept = path.read_text()
    path.write_text(kept.replace("max_attempts: 5", "max_attempts: 3"))
    try:
        done = sluice(clone, "preview", "--stack", "dev", "--since", "main", "--comment", str(comment), "--json")
    finally:
        path.write_text(kept)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (changed,) = [one for layer in found["layers"] for one in layer["steps"] if one["op"] not in ("same", "read")]
    assert (changed["op"], changed["name"]) == ("update", "split-payment-queue")
    text = comment.read_text()
    assert text == found["comment"]
    assert "| update | `Queue` | `split-payment-queue` | `retryConfig.maxAttempts`: 5 → 3 |" in text
    assert "Given up after 5 attempts" in text
    assert "Given up after 3 attempts" in text
    assert "**Permissions**" not in text
    assert "**Cost a month**" not in text


def test_a_commit_that_is_not_there_is_refused(clone: Path) -> None:
    for name in ("no-such-branch", "--help", "main^^^^"):
        done = sluice(clone, "preview", "--stack", "dev", f"--since={name}")
        assert done.returncode == 2, done.stdout
        assert "commit" in done.stderr


def test_a_comment_without_a_commit_to_compare_with_is_refused(clone: Path) -> None:
    done = sluice(clone, "preview", "--stack", "dev", "--comment", "c.md")
    assert done.returncode == 2
    assert "--since" in done.stderr


@pytest.mark.parametrize("place", ["nosuch/c.md", "."])
def test_a_comment_that_cannot_be_written_is_refused_before_any_plan(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkout, "at", lambda _commit: pytest.fail("a commit was laid out"))
    assert main(["preview", "--stack", "dev", "--since", "HEAD", "--comment", str(tmp_path / place)]) == 2
    assert "name a file that can be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_several_stacks_are_told_to_need_a_commit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "--stack", "dev,prod"]) == 2
    assert "add --since" in capsys.readouterr().err


def test_where_no_repository_is_none_is_told_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    assert main(["preview", "--stack", "dev", "--since", "HEAD"]) == 2
    said = capsys.readouterr().err
    assert "is in no git repository" in said
    assert "unshallow" not in said


def test_a_cancelled_comparison_leaves_no_folder(clone: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops", "preview", "--stack", "dev", "--since", "main"]
    with subprocess.Popen(command, cwd=clone, env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        while not list(tmp_path.glob("sluice-since-*/stacks/*.yaml")):
            assert process.poll() is None
        process.terminate()
        assert process.wait(60) == 143
    assert list(tmp_path.glob("sluice-since-*")) == []


def test_what_costs_otherwise_for_what_is_free_is_told_in_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def cost(usd: float, units: float) -> report._Cost:
        return report._Cost(usd=usd, units=frozenset([("q", "tasks.operation", units)]))

    quiet = {f"queue `q{number}`": cost(0.10, 5.0) for number in range(8)}
    dearer = {name: cost(0.15, 5.0) for name in quiet}
    bills = iter([quiet, {**dearer, "queue `new`": cost(0.30, 9.0)}])
    monkeypatch.setattr(report, "_bill", lambda _side: next(bills))
    assert report._costs(compared()) == [
        ("queue `new`", "0.00", "0.30"),
        (report.OTHERS, "0.80", "1.20"),
        ("all, at 1,000 payments a day (USD)", "0.80", "1.50"),
    ]
