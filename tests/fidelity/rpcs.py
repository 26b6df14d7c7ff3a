"""Every RPC and REST route of every emulated API, as the registry has them."""

from __future__ import annotations

from dataclasses import dataclass

from local_cloud.descriptors import methods
from local_cloud.registry import Api, discover


@dataclass(frozen=True)
class Rpc:
    """One way into an API. `file` is where it is, or would be added."""

    service: str
    name: str
    emulated: bool
    permission: str
    file: str


def rpcs(api: Api) -> list[Rpc]:
    """The RPCs of an API's services, in the order of their protos."""
    found = []
    for service in api.services:
        for method in methods(service).values():
            binding = api.rpcs.get(method.path)
            handled = binding is not None and binding.handler is not None
            permission = (binding.permission or "") if binding else ""
            found.append(Rpc(service, method.name, handled, permission, f"local_cloud/apis/{api.module}"))
    return found


def routes(api: Api) -> list[str]:
    """What an API serves by REST beside its protos."""
    spoken = [f"{b.route.verb} {b.route.template}" for b in api.routes if b.route and b.method is None]
    return sorted({*spoken, *(f"any {prefix}**" for prefix in api.mounts)})


def apis() -> dict[str, Api]:
    """The APIs by the name of their module."""
    return {api.module: api for api in discover()}
