"""Where a stack stands and how it is guarded: the part of stack config that every component needs."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from spec import StackConfig


@dataclass(frozen=True, kw_only=True)
class Site:
    """Project, region and protection of one stack."""

    project: str
    region: str
    env: str
    #: What holds money, state or a name that Google blocks after deletion survives slips and the stack itself.
    protect: bool

    @classmethod
    def of(cls, stack: StackConfig) -> Site:
        """The site that ``stack`` describes."""
        return cls(project=stack.project, region=stack.region, env=stack.env, protect=stack.protect)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that takes labels."""
        return {"app": "sluice", "env": self.env}

    def guarded(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of a child that must outlive slips: protected from deletion, and retained if it is let go."""
        return pulumi.ResourceOptions(parent=parent, protect=self.protect, retain_on_delete=self.protect)
