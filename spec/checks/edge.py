"""The load balancer before public services: where it may stand, and whom its lists name."""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.edge import CERTIFICATES
from spec.errors import Finding, choose

KEY = ("config", "sluice:edge")


@rule("SL922")
def edges_stand_before_doors(draft: Draft) -> Iterator[Finding]:
    """An edge stands in the layer of the services, on Google Cloud, before a service with public paths."""
    public = [name for name, service in draft.system.services.items() if service.public]
    for stack in draft.stacks.values():
        if stack.edge is None:
            continue
        if stack.is_local or stack.is_foundation:
            yield draft.error(
                "stack",
                stack.name,
                *KEY,
                what=f"{stack.name} has no load balancer",
                breaks="nothing would stand before the doors" if stack.is_foundation else "it cannot be deployed here",
                fix="delete the key; it belongs into dev, staging or prod",
            )
        elif not public:
            yield draft.error(
                "stack",
                stack.name,
                *KEY,
                what="no service has public paths",
                breaks="the load balancer would have nothing behind it",
                fix="delete the key, or write public: in a service.yaml",
            )


@rule("SL923")
def edge_lists_name_doors(draft: Draft) -> Iterator[Finding]:
    """Lists of addresses are for services with public paths, and who is open to a list alone has one."""
    public = [name for name, service in draft.system.services.items() if service.public]
    if draft.system.services.keys() != draft.declared["service"]:
        return
    for stack in draft.stacks.values():
        armor = stack.edge.armor if stack.edge else None
        if armor is None:
            continue
        for name in armor.allow:
            if name not in public:
                yield draft.error(
                    "stack",
                    stack.name,
                    *(*KEY, "armor", "allow", name),
                    what=f"{name} has no public paths",
                    breaks="the addresses would be let through to nothing",
                    fix=choose(name, public, noun="public service"),
                )
        for index, name in enumerate(armor.only):
            if name not in armor.allow:
                yield draft.error(
                    "stack",
                    stack.name,
                    *(*KEY, "armor", "only", index),
                    what=f"allow has no addresses for {name}",
                    breaks="nobody at all could reach it",
                    fix=f"write armor: {{allow: {{{name}: [203.0.113.0/24]}}}}, or take it out of only",
                )


@rule("SL924")
def doors_behind_an_edge_are_not_called_directly(draft: Draft) -> Iterator[Finding]:
    """No service calls another one by itself that only the load balancer and Google's own callers reach."""
    for stack in draft.stacks.values():
        for name, service in draft.system.services.items():
            calling = [*draft.system.direct_hops_into(name), *draft.system.breakers_into(name)]
            if stack.edge is not None and service.public and calling:
                yield draft.error(
                    "stack",
                    stack.name,
                    *KEY,
                    what=f"{calling[0].name} may be called directly, and leads to {name}, which has public paths",
                    breaks="the call would be refused: behind the edge Cloud Run lets no other service in",
                    fix=f"give the public paths of {name} to a service of their own, or delete the hop's route",
                )


@rule("SL925")
def every_door_behind_an_edge_has_a_certificate(draft: Draft) -> Iterator[Finding]:
    """Behind an edge stand no more services with public paths than its proxy takes certificates."""
    doors = [name for name, service in draft.system.services.items() if service.public]
    for stack in draft.stacks.values():
        if stack.edge is not None and len(doors) > CERTIFICATES:
            yield draft.error(
                "stack",
                stack.name,
                *KEY,
                what=f"{len(doors)} services have public paths, and each has a certificate of its own",
                breaks=f"Google refuses the proxy: it takes {CERTIFICATES} certificates",
                fix="give public paths of several services to one, or delete the key",
            )


RULES: tuple[Rule, ...] = (
    edges_stand_before_doors,
    edge_lists_name_doors,
    doors_behind_an_edge_are_not_called_directly,
    every_door_behind_an_edge_has_a_certificate,
)
