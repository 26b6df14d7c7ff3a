"""Finds the modules of this folder and runs their rules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from spec.checks.draft import Draft, Rule
from spec.errors import Finding


def run(draft: Draft) -> Iterator[Finding]:
    """Yield what all rules find."""
    for rule in rules():
        yield from rule(draft)


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of all modules, in the order of their names."""
    folder = __name__.rpartition(".")[0]
    modules = [import_module(f"{folder}.{module.name}") for module in iter_modules(import_module(folder).__path__)]
    return tuple(rule for module in modules for rule in getattr(module, "RULES", ()))
