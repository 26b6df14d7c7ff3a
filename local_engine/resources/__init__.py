"""The resource types that the engine models: every ``ResourceType`` of every module in this folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from inspect import isabstract

from ..resource_type import ResourceType


@cache
def registry() -> Mapping[str, ResourceType]:
    """Every modelled type by its token."""
    found: dict[str, ResourceType] = {}
    for module in pkgutil.iter_modules(__path__):
        for thing in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(thing, type) and issubclass(thing, ResourceType) and not isabstract(thing):
                token = getattr(thing, "token", "")
                if token:
                    found[token] = thing()
    return found


def nearest(token: str) -> str:
    """The modelled type that looks most like ``token``."""
    near = difflib.get_close_matches(token, registry(), n=1, cutoff=0.0)
    return near[0]
