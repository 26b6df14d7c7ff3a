"""The specs as the command line uses them; a refused spec becomes an error that it can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import spec
from ops.errors import OpsError
from ops.home import ROOT


class SpecsRefused(OpsError):
    """The specs are refused; `findings` says where and why."""

    def __init__(self, error: spec.SpecErrors) -> None:
        super().__init__(f"the specs are refused, nothing was deployed\n{error}")
        self.findings = error.findings

    def as_json(self) -> dict[str, Any]:
        """Return the error with each finding, as `lint --json` has them."""
        return {**super().as_json(), "findings": [finding.as_json() for finding in self.findings]}


def load(stack: str | None = None, config: Mapping[str, Any] | None = None) -> spec.System:
    """The checked system, with the config of a stack where one is named."""
    try:
        return spec.load(ROOT, stack, config)
    except spec.SpecErrors as error:
        raise SpecsRefused(error) from error


def config_of(stack: str) -> spec.StackConfig:
    """The config of one stack."""
    try:
        return spec.stack_config(ROOT, stack)
    except spec.SpecErrors as error:
        raise SpecsRefused(error) from error
