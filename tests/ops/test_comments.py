"""The comment on a pull request, word for word, for five sample changes; `comments/` beside this file holds them.

After a change that is meant, write them anew and read the diff:
SLUICE_WRITE_GOLDENS=1 .venv/bin/python -m pytest tests/ops/test_comments.py
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import local_engine
import spec
from ops.home import ROOT
from ops.since import report

STACK = "staging"
GOLDENS = Path(__file__).parent / "comments"
#: What a plan is made of.
READ = ("Pulumi.yaml", "stacks", "queue_configs", "dashboards", "service_code", "components", "spec", "docs/runbook.md")


def rate(root: Path) -> None:
    edit(
        root / "queue_configs/tasks/split-payment-queue.yaml", "dispatches_per_second: 100", "dispatches_per_second: 50"
    )


def new_queue(root: Path) -> None:
    lines = [
        "# yaml-language-server: $schema=../schema/task_queue.json",
        "from: [gcregister]",
        "to: gcwebhook",
        "path: /registered",
        "message: ClientRegistered",
        "rate: {dispatches_per_second: 5, concurrent: 10}",
        "retry: {max_attempts: -1, min_backoff: 10s, max_backoff: 300s, max_doublings: 4, task_age_limit: 6h}",
    ]
    (root / "queue_configs/tasks/client-registered-queue.yaml").write_text("\n".join(lines) + "\n")
    edit(root / "service_code/gcwebhook/service.yaml", "handles:\n", "handles:\n  /registered: ClientRegistered\n")


def removed_permission(root: Path) -> None:
    edit(root / "queue_configs/tasks/gcbatchprocessor-queue.yaml", "[gcsplit2, gcmicrobatchprocessor]", "[gcsplit2]")
    edit(root / "service_code/gcmicrobatchprocessor/service.yaml", "secrets: [CHANGENOW_API_KEY]\n", "")


def new_service(root: Path) -> None:
    folder = root / "service_code/gcrefund"
    folder.mkdir()
    lines = [
        "# yaml-language-server: $schema=../../queue_configs/schema/service.json",
        "description: Sends coins back to who paid by mistake.",
        "operator_paths: [/health]",
        "schedules:",
        '  sweep: {path: /sweep, cron: "*/5 * * * *"}',
        "secrets: [CHANGENOW_API_KEY]",
        "scaling: {min: 1, max: 2}",
    ]
    (folder / "service.yaml").write_text("\n".join(lines) + "\n")
    (folder / "app.py").write_text('"""Nothing yet."""\n')


def comment_only(root: Path) -> None:
    path = root / "queue_configs/tasks/split-payment-queue.yaml"
    path.write_text(path.read_text() + "# The documents' section 5 has these figures.\n")


CHANGES: dict[str, Callable[[Path], None]] = {
    "rate": rate,
    "new-queue": new_queue,
    "removed-permission": removed_permission,
    "new-service": new_service,
    "comment-only": comment_only,
}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new))


def copied(folder: Path) -> Path:
    """What a plan reads of this tree, without the code that it does not."""
    for name in READ:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder


def plans(root: Path) -> dict[str, local_engine.Result]:
    layers = (f"foundation-{STACK}", STACK)
    return {layer: local_engine.run(layer, root=root, mode="preview", state_dir=None, offline=True) for layer in layers}


def side(root: Path) -> report.Side:
    return report.Side(system=spec.load(root, STACK), below=spec.stack_config(root, f"foundation-{STACK}"))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[report.Side, dict[str, Any]]:
    root = copied(tmp_path_factory.mktemp("before"))
    return side(root), {name: json.loads(json.dumps(one.as_json())) for name, one in plans(root).items()}


@pytest.mark.parametrize("name", CHANGES)
def test_the_comment_says_what_the_change_does(
    name: str, before: tuple[report.Side, dict[str, Any]], tmp_path: Path
) -> None:
    root = copied(tmp_path / "after")
    CHANGES[name](root)
    old, planned = before
    layers = [local_engine.compare(planned[layer], after, "main") for layer, after in plans(root).items()]
    one = report.Compared(stack=STACK, layers=layers, before=old, after=side(root))
    said, golden = report.markdown([one], "main"), GOLDENS / f"{name}.md"
    if os.environ.get("SLUICE_WRITE_GOLDENS") == "1":
        golden.write_text(said)
    assert said == golden.read_text(), "if this is meant: SLUICE_WRITE_GOLDENS=1 and read the diff"


def test_nothing_is_posted_where_nothing_changes() -> None:
    assert (GOLDENS / "comment-only.md").read_text() == ""
