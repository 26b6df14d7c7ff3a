"""The config of a stack as the program and the provider get it: file, overrides, real ports.

Owns reading ``stacks/Pulumi.<stack>.yaml`` as Pulumi does and the provider settings that the engine heeds. Leaves the
meaning of ``sluice:*`` keys to ``spec``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from .errors import EngineError
from .resource_type import Defaults

_ENDPOINT: Final = re.compile(r"^gcp:(\w+)CustomEndpoint$")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of a local stack; the defaults are those that ``stacks/Pulumi.local.yaml`` names."""

    rest: int = 8580
    grpc: int = 8581
    service_rest: int = 8582
    service_grpc: int = 8583
    sandbox: int = 8584
    chain: int = 8585
    postgres: int = 8586


def stack_config(
    root: Path, stack: str, overrides: Mapping[str, Any] | None = None, ports: Ports | None = None
) -> dict[str, Any]:
    """The config of ``stack``: its file with ``ports`` for the default ones, and ``overrides`` over it."""
    path = root / "stacks" / f"Pulumi.{stack}.yaml"
    try:
        given = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError as error:
        known = ", ".join(sorted(found.name.split(".")[1] for found in path.parent.glob("Pulumi.*.yaml")))
        raise EngineError(f"There is no stack {stack!r}: {path} is missing. The stacks are {known}.") from error
    config = dict(given.get("config") or {})
    for key, value in config.items():
        if isinstance(value, Mapping) and set(value) == {"secure"}:
            raise EngineError(f"{path}: {key} is encrypted by Pulumi, and only Pulumi can open it.")
    if ports is not None:
        config = {key: _ported(value, ports) for key, value in config.items()}
    return config | dict(overrides or {})


def _ported(value: Any, ports: Ports) -> Any:
    if isinstance(value, Mapping):
        return {key: _ported(item, ports) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    real = {str(default): str(getattr(ports, name)) for name, default in asdict(Ports()).items()}
    return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: real.get(found[0], found[0]), value)


def endpoints(config: Mapping[str, Any]) -> dict[str, str]:
    """The provider's custom endpoints by product."""
    return {found[1]: str(value) for key, value in config.items() if (found := _ENDPOINT.match(key))}


def defaults(config: Mapping[str, Any]) -> Defaults:
    """What the provider fills into resources."""
    project = str(config.get("gcp:project") or "")
    if not project:
        raise EngineError("The stack's config names no gcp:project.")
    return Defaults(project=project, region=str(config.get("gcp:region") or ""))
