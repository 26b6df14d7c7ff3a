"""What was made by hand, declared just as it was found: the first station of a migration (docs/adr/adopt.md).

Owns the verbatim resources and the members of their policies. Holds no rule of ours. Whoever lets go of an entry lets
go of it in the state alone: it stays in the cloud, until a spec of ours takes it over by its name or a person deletes
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from spec.adopted import COMPONENT_TYPE, PROJECT
from spec.adopted import Adopted as Entry


@dataclass(frozen=True, kw_only=True)
class AdoptedConfig:
    """The entries, by name."""

    entries: Mapping[str, Entry]


class Adopted(pulumi.ComponentResource):
    """Everything that a stack has taken over."""

    def __init__(self, name: str, config: AdoptedConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT_TYPE, name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        for entry in config.entries.values():
            if entry.type != PROJECT:
                pulumi.CustomResource(entry.type, entry.resource, entry.properties, _alone(kept, entry))
            for token, member, properties in entry.members():
                pulumi.CustomResource(token, member, properties, kept)
        self.register_outputs({})


def _alone(kept: pulumi.ResourceOptions, entry: Entry) -> pulumi.ResourceOptions:
    """Whether a queue runs is its operators' business: the entry says how it was found, and no apply makes it so."""
    if entry.type != "gcp:cloudtasks/queue:Queue":
        return kept
    return pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(ignore_changes=["desiredState"]))
