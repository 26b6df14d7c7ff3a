"""Reads the `pins` of the tests: which behaviour, known from where, pinned by which tests.

Owns the reading, by syntax alone. Leaves alone what becomes of it (render.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

#: The ways to know a behaviour, in the order in which a page names them.
KINDS = ("documented", "observed", "ours")


@dataclass
class Row:
    """One behaviour of one section."""

    area: str
    section: str
    behaviour: str
    sources: dict[str, str]
    tests: list[str] = field(default_factory=list)


def collect(root: Path) -> list[Row]:
    """Every behaviour that a test below `root` pins, by file and line. Raises ValueError that says where."""
    found: dict[tuple[str, str, str], Row] = {}
    for path in sorted(root.rglob("*.py")):
        text = path.read_text()
        if "pins(" not in text or path.parent.name == "fidelity":
            continue
        for call, test in _pins(ast.parse(text), path.stem):
            row = _row(call, f"{path.relative_to(root.parent)}:{call.lineno}")
            kept = found.setdefault((row.area, row.section, row.behaviour), row)
            kept.sources.update(row.sources)
            kept.tests.append(test)
    return list(found.values())


def _pins(tree: ast.Module, module: str) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((call, node.name) for call in node.decorator_list if _is_pins(call))
        elif isinstance(node, ast.Expr) and _is_pins(node.value):
            yield node.value, module


def _is_pins(node: ast.expr) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "pins"


def _row(call: ast.Call, where: str) -> Row:
    try:
        area, section, behaviour = (ast.literal_eval(argument) for argument in call.args)
        said = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except ValueError as error:
        raise ValueError(f"{where}: pins takes an area, a section, a behaviour and its source, as literals") from error
    sources = {kind: said[kind] if isinstance(said[kind], str) else "" for kind in KINDS if said.get(kind)}
    if not sources or set(said) - set(KINDS):
        raise ValueError(f"{where}: say how it is known, by {', '.join(KINDS)}")
    return Row(area, section, behaviour, sources)
