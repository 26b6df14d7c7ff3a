"""Finds the modules of this folder, runs their rules and knows every law by its number."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType

from spec.checks.draft import Draft, Rule
from spec.checks.rule import Checked, Law
from spec.checks.silences import Report, settle


def run(draft: Draft, *, whole: bool = False) -> Report:
    """Return what all rules find. A `whole` run asks those too for which a deployment does not wait."""
    asked = [rule for rule in rules() if whole or not (isinstance(rule, Checked) and rule.lint_only)]
    found = [*draft.findings, *(finding for rule in asked for finding in rule(draft))]
    return settle(draft, found, laws(), whole=whole)


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of all modules, in the order of their names."""
    return tuple(rule for module in _modules() for rule in getattr(module, "RULES", ()))


@cache
def laws() -> Mapping[str, Law]:
    """Return every law by its number, in order: those of functions, and those that models and readers keep."""
    found: list[Law] = [law for law in rules() if isinstance(law, Checked)]
    found += [law for module in _modules() for law in getattr(module, "LAWS", ())]
    return MappingProxyType({law.number: law for law in sorted(found, key=lambda law: law.number)})


def _modules() -> list[ModuleType]:
    folder = __name__.rpartition(".")[0]
    return [import_module(f"{folder}.{module.name}") for module in iter_modules(import_module(folder).__path__)]
