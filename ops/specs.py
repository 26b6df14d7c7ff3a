"""The specs as the command line uses them; a refused spec becomes an error that it can show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spec
from ops.errors import BadUsage, OpsError
from ops.home import ROOT
from ops.stack_config import overlay_of
from spec import files
from spec.errors import choose
from spec.stack import FOUNDATION_PREFIX, LOCAL


class SpecsRefused(OpsError):
    """The specs are refused; `findings` says where and why, `outcome` what was therefore not done."""

    def __init__(self, error: spec.SpecErrors, outcome: str = "") -> None:
        super().__init__(f"the specs are refused{outcome}\n{error}")
        self.findings = error.findings

    def as_json(self) -> dict[str, Any]:
        """Return the error with each finding, as `lint --json` has them."""
        return {**super().as_json(), "findings": [finding.as_json() for finding in self.findings]}


def known(stack: str, root: Path = ROOT) -> None:
    """Refuse a name that is no stack: the command was asked wrongly, and the specs are as they should be."""
    stacks = files.stacks(root)
    if stack not in stacks:
        raise BadUsage(
            f"there is no stack {stack[:80]!r}",
            why="nobody knows which project is meant",
            fix=choose(stack, stacks, noun="stack"),
        )


def environment(stack: str) -> None:
    """Refuse what is no environment on Google Cloud: a layer, or the stack on this machine."""
    if stack.startswith(FOUNDATION_PREFIX):
        raise BadUsage(
            f"{stack} is a layer", fix=f"name the environment: --stack {stack.removeprefix(FOUNDATION_PREFIX)}"
        )
    if stack == LOCAL:
        others = [name for name in files.stacks(ROOT) if name != LOCAL and not name.startswith(FOUNDATION_PREFIX)]
        raise BadUsage(f"{stack} is on this machine, not on Google Cloud", fix=f"name one of {', '.join(others)}")


def load(stack: str | None = None, *, outcome: str = "") -> spec.System:
    """The checked system, with the config of a stack where one is named."""
    if stack is not None:
        known(stack)
    try:
        return spec.load(ROOT, stack, overlay=overlay_of(stack))
    except spec.SpecErrors as error:
        raise SpecsRefused(error, outcome) from error


def config_of(stack: str) -> spec.StackConfig:
    """The config of one stack, from its file alone: the other specs may be in the middle of an edit."""
    known(stack)
    try:
        return spec.stack_config(ROOT, stack, overlay=overlay_of(stack))
    except spec.SpecErrors as error:
        raise SpecsRefused(error) from error
