"""A broken spec stops `sluice up` at once, with place, reason and fix, and nothing is started or changed.

Through the command line, on a copy of the project. That each of the ten mistakes is found, tests/spec shows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.payments.stack import Stack, copy_project, http

HOSTPAY_QUEUE = "queue_configs/tasks/hostpay-execution-queue.yaml"
SPLIT_QUEUE = "queue_configs/tasks/split-payment-queue.yaml"
GCHOSTPAY = "service_code/gchostpay/service.yaml"
LONG = "gc" + "very-long-name-" * 3 + "service"


@dataclass(frozen=True)
class Copy:
    """A copy of the project that a test may break."""

    root: Path
    home: Path

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{file} no longer contains {old!r}: adapt this test"
        path.write_text(text.replace(old, new, 1))

    def sluice(self, *args: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops", *args],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), "SLUICE_HOME": str(home or self.home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The tracked files as they stand, with the environment of the original."""
    root = tmp_path / "project"
    copy_project(root)
    return Copy(root, tmp_path / "home")


def unknown_service(copy: Copy) -> str:
    copy.edit(HOSTPAY_QUEUE, "to: gchostpay", "to: gchostpya")
    return f"{HOSTPAY_QUEUE}:5:5: error: to: there is no service 'gchostpya'"


def rate_of_501(copy: Copy) -> str:
    copy.edit(HOSTPAY_QUEUE, "dispatches_per_second: 50", "dispatches_per_second: 501")
    return f"{HOSTPAY_QUEUE}:8:31: error: rate.dispatches_per_second: 501 is above 500"


def short_window(copy: Copy) -> str:
    copy.edit(HOSTPAY_QUEUE, "token_window: 60s", "token_window: 4s")
    return f"{HOSTPAY_QUEUE}:11:15: error: token_window: the token lives 4s, but the first retry comes after 5s"


def second_file(copy: Copy) -> str:
    shutil.copy(copy.root / SPLIT_QUEUE, copy.root / SPLIT_QUEUE.replace(".yaml", ".yml"))
    return f"{SPLIT_QUEUE.replace('.yaml', '.yml')}:1:1: error: the queue split-payment-queue is declared here and in"


def secrets_line(copy: Copy) -> int:
    lines = (copy.root / GCHOSTPAY).read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.startswith("secrets:"))


def undeclared_secret(copy: Copy) -> str:
    copy.edit(GCHOSTPAY, "ETHEREUM_RPC_URL", "ETHERUM_RPC_URL")
    return f"{GCHOSTPAY}:{secrets_line(copy)}:80: error: secrets[3]: nobody declares the secret 'ETHERUM_RPC_URL'"


def long_label(copy: Copy) -> str:
    folder = copy.root / "service_code" / LONG
    folder.mkdir()
    schema = "# yaml-language-server: $schema=../../queue_configs/schema/service.json"
    (folder / "service.yaml").write_text(f"{schema}\ndescription: A service whose name is too long for a URL.\n")
    return f"service_code/{LONG}/service.yaml:1:1: error: the URL label"


def bad_yaml(copy: Copy) -> str:
    copy.edit(HOSTPAY_QUEUE, "concurrent: 20}", "concurrent: 20")
    return f"{HOSTPAY_QUEUE}:8:7: error: this is not YAML: the bracket opened here is not closed"


#: What is refused at once, and what comes to light alone.
MISTAKES = [[rate_of_501, second_file, undeclared_secret, long_label], [unknown_service], [short_window], [bad_yaml]]


@pytest.mark.parametrize("mistakes", MISTAKES, ids=lambda mistakes: mistakes[0].__name__)
def test_up_refuses_broken_specs_with_place_reason_and_fix_of_each_and_starts_nothing(
    copy: Copy, mistakes: list[Callable[[Copy], str]]
) -> None:
    places = [mistake(copy) for mistake in mistakes]
    done = copy.sluice("up", "--no-pay")
    assert done.returncode == 1, done.stdout + done.stderr
    said = (done.stdout + done.stderr).splitlines()
    for place in places:
        at = next((number for number, line in enumerate(said) if line.strip().startswith(place)), None)
        assert at is not None, place + done.stdout + done.stderr
        assert said[at + 1].strip().startswith("why: ")
        assert said[at + 2].strip().startswith("fix: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert not copy.home.exists() or list(copy.home.iterdir()) == []


def test_a_refusal_with_json_lists_each_finding(copy: Copy) -> None:
    rate_of_501(copy)
    undeclared_secret(copy)
    done = copy.sluice("up", "--no-pay", "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert "nothing was deployed" in error["what"]
    assert [(one["file"], one["line"], one["column"], one["key"]) for one in error["findings"]] == [
        (HOSTPAY_QUEUE, 8, 31, "rate.dispatches_per_second"),
        (GCHOSTPAY, secrets_line(copy), 80, "secrets[3]"),
    ]
    for one in error["findings"]:
        assert one["severity"] == "error"
        assert all(one[part] for part in ("what", "breaks", "fix"))


def test_lint_and_preview_refuse_it_alike(copy: Copy) -> None:
    place = rate_of_501(copy)
    for verb in (["lint"], ["preview", "--stack", "prod"], ["preview", "--stack", "local"]):
        done = copy.sluice(*verb)
        assert done.returncode == 1, verb
        assert place in done.stdout + done.stderr, verb


@pytest.mark.stack
def test_a_running_stack_is_left_as_it_is(copy: Copy, stack: Stack) -> None:
    before = picture(stack)
    rate_of_501(copy)
    done = copy.sluice("up", "--no-pay", home=stack.home)
    assert done.returncode == 1
    assert f"{HOSTPAY_QUEUE}:8:31" in done.stdout + done.stderr
    assert copy.sluice("dead", "letters", home=stack.home).returncode == 0  # an operator goes by what is deployed
    assert picture(stack) == before


def picture(stack: Stack) -> Any:
    """What is deployed, and by which processes."""
    status = stack.admin("GET", "status")
    parent = f"{stack.rest}/v2/projects/{status['project']}/locations/{status['location']}"
    collections = [http("GET", f"{parent}/{name}")[1][name] for name in ("queues", "services")]
    state = {str(path): path.read_bytes() for path in (stack.home / "engine").rglob("*") if path.is_file()}
    return [*collections, state, stack.record["pid"], (stack.home / "stack.json").read_text()]
