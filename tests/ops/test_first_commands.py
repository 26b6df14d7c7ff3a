"""The first command of every alert is one that the command line takes, for whatever stack the alert is of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from ops import app
from ops.home import ROOT
from spec import load
from spec.first import VERBS, filled

ALERTS = load(ROOT).alerts
COMMAND = typer.main.get_command(app.build())


def verbs(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from verbs(inner, *path, name)
    else:
        yield " ".join(path), command


def test_the_verbs_that_know_a_stack_are_those_of_the_list() -> None:
    found = {name for name, verb in verbs(COMMAND) if any("--stack" in one.opts for one in verb.params)}
    assert found - {"adopt", "ci", "cost", "lint"} == set(VERBS)  # these look at no stack's state


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_every_first_command_can_be_run(stack: str) -> None:
    known = dict(verbs(COMMAND))
    for alert in ALERTS.values():
        command = filled(alert.first, stack=stack, project="p", region="r")
        tool, *words = shlex.split(re.sub(r"\$\{[a-z._]+\}", "something", command))
        assert tool == "./sluice", f"{alert.name}: gcloud knows nothing of the stack on this machine"
        name = next(name for name in known if words[: len(name.split())] == name.split())
        context = known[name].make_context(name, words[len(name.split()) :])
        assert context.params["stack"] == stack
