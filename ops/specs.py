"""The specs as the command line uses them; a refused spec becomes an error that it can show."""

from __future__ import annotations

from typing import Any

import spec
from ops.errors import OpsError
from ops.home import ROOT


class SpecsRefused(OpsError):
    """The specs are refused; `findings` says where and why, `outcome` what was therefore not done."""

    def __init__(self, error: spec.SpecErrors, outcome: str = "") -> None:
        super().__init__(f"the specs are refused{outcome}\n{error}")
        self.findings = error.findings

    def as_json(self) -> dict[str, Any]:
        """Return the error with each finding, as `lint --json` has them."""
        return {**super().as_json(), "findings": [finding.as_json() for finding in self.findings]}


def load(stack: str | None = None, *, outcome: str = "") -> spec.System:
    """The checked system, with the config of a stack where one is named."""
    try:
        return spec.load(ROOT, stack)
    except spec.SpecErrors as error:
        raise SpecsRefused(error, outcome) from error


def config_of(stack: str) -> spec.StackConfig:
    """The config of one stack, from its file alone: the other specs may be in the middle of an edit."""
    try:
        return spec.stack_config(ROOT, stack)
    except spec.SpecErrors as error:
        raise SpecsRefused(error) from error
