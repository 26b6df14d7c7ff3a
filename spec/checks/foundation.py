"""What the layer below must hold for the layer above it: room for the instances, and the keys that belong there."""

from __future__ import annotations

from collections.abc import Iterator

from spec import network
from spec.checks.draft import Draft
from spec.checks.rule import Checked, rule
from spec.errors import Finding
from spec.stack import FOUNDATION_PREFIX, StackConfig

#: Keys that only the foundation reads.
BELOW = ("database_tier", "database_standby", "network", "database", "logs", "budget", "ci")


@rule("SL930")
def the_subnet_has_room_for_a_rollout(draft: Draft) -> Iterator[Finding]:
    """The subnet holds the instances of all services with a database, twice, while a release is rolled out."""
    most = [service.scaling.max for service in draft.system.services.values() if service.database]
    wanted = network.addresses(most)
    for stack in draft.stacks.values():
        if not stack.is_foundation or stack.network.room >= wanted:
            continue
        path = ("config", "sluice:network", "subnet") if "network" in stack.model_fields_set else ("config",)
        yield draft.error(
            "stack",
            stack.name,
            *path,
            what=f"{stack.network.subnet} has room for {stack.network.room} addresses; {sum(most)} instances of "
            f"{len(most)} services take {wanted} while all are rolled out",
            breaks="instances without an address do not start, just when a release needs them",
            fix=f"write a subnet of /{network.enough_for(wanted)} or larger, or lower scaling.max of services",
        )


@rule("SL931")
def keys_of_the_foundation_stand_there(draft: Draft) -> Iterator[Finding]:
    """What only the foundation reads stands in no stack of the layer above."""
    for stack in draft.stacks.values():
        if stack.is_foundation:
            continue
        for name in BELOW:
            if name in stack.model_fields_set:
                key = str(StackConfig.model_fields[name].alias)
                yield draft.error(
                    "stack",
                    stack.name,
                    "config",
                    key,
                    what=f"{key} is read by the foundation alone",
                    breaks="it would be ignored here, and what the foundation says would stay in force",
                    fix=f"move it to stacks/Pulumi.{FOUNDATION_PREFIX}{stack.name}.yaml",
                )


RULES: tuple[Checked, ...] = (the_subnet_has_room_for_a_rollout, keys_of_the_foundation_stand_there)
