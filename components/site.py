"""Where a stack stands and how it is guarded: the part of stack config that every component needs."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from spec import StackConfig, adopted


@dataclass(frozen=True, kw_only=True)
class Site:
    """Project, region and protection of one stack."""

    project: str
    region: str
    env: str
    #: What holds money, state or a name that Google blocks after deletion survives slips and the stack itself.
    protect: bool
    #: What may be lost all the same, by its word (``spec.unprotect``).
    unprotect: frozenset[str] = frozenset()
    #: The component that holds what was made by hand, where the stack has taken such things over.
    adopted: str = ""

    @classmethod
    def of(cls, stack: StackConfig, *, took_over: bool = False) -> Site:
        """The site that ``stack`` describes."""
        return cls(
            project=stack.project,
            region=stack.region,
            env=stack.env,
            protect=stack.protect,
            unprotect=frozenset(stack.unprotect),
            adopted=adopted.urn(pulumi.get_stack(), pulumi.get_project()) if took_over else "",
        )

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that takes labels."""
        return {"app": "sluice", "env": self.env}

    def guards(self, word: str = "") -> bool:
        """Whether the thing of this word may be neither deleted nor replaced; what has no word never may."""
        return self.protect and word not in self.unprotect

    def guarded(self, parent: pulumi.Resource, word: str = "") -> pulumi.ResourceOptions:
        """Options of a child that must outlive slips: protected from deletion, and retained if it is let go."""
        kept = self.guards(word)
        return pulumi.ResourceOptions(parent=parent, protect=kept, retain_on_delete=kept, aliases=self.aliases)

    @property
    def aliases(self) -> list[pulumi.Alias]:
        """What a thing was called when it was declared as it was found: the same name, beside its kin."""
        return [pulumi.Alias(parent=self.adopted)] if self.adopted else []
