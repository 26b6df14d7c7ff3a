"""Every command of the runbook has a scenario of its section that runs it, or it is said here why not; none is left.

`make proofs` runs all scenarios, each night by proofs.yml. The suite (`make test`) leaves out those marked `whole`, and
with them about a quarter of the commands; what is Google's own command both leave out where gcloud is not installed.
What is left out is held to exist, with its options, by tests/test_docs.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.payments.stack import ROOT
from tests.runbook.page import sections

#: Where scenarios stand.
ROOMS = ("runbook", "rollout")
#: Commands that no scenario runs, and why. Of our own tests/test_docs knows that they exist, with their options.
ELSEWHERE = {
    "pulumi up": "the program is run by the real Pulumi in tests/stacks; `./sluice up` is the same program, locally",
    "pulumi up --refresh --stack prod": "the real Pulumi again; that a binding is put back shows `./sluice up`",
    "gcloud run jobs delete sluice-migrate": "the other scenarios need the job; what makes it anew is Pulumi",
    "./sluice preview --since REV": "compares two checkouts for half a minute; tests/ops/test_since does, twice",
    "apt-get update && ./sluice image lock": "asks Debian's archive, as root; tests/ops/images locks from a small one",
}
SCENARIOS = sorted(path for room in ROOMS for path in (ROOT / "tests" / room).glob("test_*.py"))


@cache
def run() -> dict[str, set[str]]:
    """The commands that are run, by the headings of the scenarios that run them."""
    found: dict[str, set[str]] = {}
    for path in SCENARIOS:
        for headings, commands in scenarios(path):
            for heading in headings:
                found.setdefault(heading, set()).update(commands)
    return found


def scenarios(path: Path) -> list[tuple[list[str], set[str]]]:
    """Each scenario of a module: what it is marked with, and what it gives to `do`."""
    return [
        (headings, {one.args[0].value for one in ast.walk(test) if is_do(one)})  # type: ignore[attr-defined]
        for test in ast.parse(path.read_text()).body
        if isinstance(test, ast.FunctionDef) and (headings := marked(test))
    ]


def marked(test: ast.FunctionDef) -> list[str]:
    """The headings of a scenario."""
    marks = [
        one for one in test.decorator_list if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "incident"
    ]
    return [ast.literal_eval(word) for mark in marks for word in mark.args]


def is_do(node: ast.AST) -> bool:
    """Whether this runs a command."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "do"


@pytest.mark.parametrize("heading", [one.heading for one in sections().values() if one.commands])
def test_every_command_of_a_section_is_run_by_its_scenario(heading: str) -> None:
    assert set(sections()[heading].commands) - run().get(heading, set()) - ELSEWHERE.keys() == set()


def test_no_scenario_runs_what_the_runbook_does_not_say() -> None:
    stale = [
        f"{path.name}: {command}"
        for path in SCENARIOS
        for headings, commands in scenarios(path)
        for command in commands
        if not any(command in sections()[heading].commands for heading in headings)
    ]
    assert stale == []


def test_a_command_that_nobody_runs_is_in_the_runbook() -> None:
    said = {command for one in sections().values() for command in one.commands}
    assert ELSEWHERE.keys() - said == set()
