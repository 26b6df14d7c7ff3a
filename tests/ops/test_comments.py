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

STACK = "prod"
GOLDENS = Path(__file__).parent / "comments"
#: A system of two services, which does not change with ours; the program that plans it is ours.
BASE = ROOT / "tests/spec/lint_base"
PROGRAM = ("Pulumi.yaml", "stacks/__main__.py")
QUEUE = "queue_configs/tasks/order-queue.yaml"


def rate(root: Path) -> None:
    edit(root / QUEUE, "retry: {max_attempts: 5,", "rate: {dispatches_per_second: 50}\nretry: {max_attempts: 3,")


def new_queue(root: Path) -> None:
    lines = [
        "# yaml-language-server: $schema=../schema/task_queue.json",
        "from: [cashier]",
        "to: intake",
        "path: /paid",
        "message: Paid",
        "rate: {dispatches_per_second: 5, concurrent: 10}",
        "retry: {max_attempts: -1, min_backoff: 10s, max_backoff: 300s, max_doublings: 4, task_age_limit: 6h}",
    ]
    (root / "queue_configs/tasks/paid-queue.yaml").write_text("\n".join(lines) + "\n")
    edit(root / "service_code/intake/service.yaml", "operator_paths:", "handles:\n  /paid: Paid\noperator_paths:")


def removed_permission(root: Path) -> None:
    edit(root / "service_code/cashier/service.yaml", "secrets: [SIGNING_KEY]\n", "")
    edit(root / "service_code/cashier/service.yaml", "operator_paths: [/health]\n", "")


def new_service(root: Path) -> None:
    folder = root / "service_code/refunder"
    folder.mkdir()
    lines = [
        "# yaml-language-server: $schema=../../queue_configs/schema/service.json",
        "description: Sends coins back to who paid by mistake.",
        "operator_paths: [/refunds]",
        "schedules:",
        '  sweep: {path: /sweep, cron: "*/5 * * * *"}',
        "secrets: [SIGNING_KEY]",
        "scaling: {min: 1, max: 2}",
    ]
    (folder / "service.yaml").write_text("\n".join(lines) + "\n")


def comment_only(root: Path) -> None:
    path = root / QUEUE
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
    """The base, with the program that plans it."""
    shutil.copytree(BASE, folder, dirs_exist_ok=True)
    for name in PROGRAM:
        shutil.copy2(ROOT / name, folder / name)
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
