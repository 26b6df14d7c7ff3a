"""Which events the services' code logs: the words that it gives as `what`, read from the text and never imported.

Owns the ways in which a word gets there: written in the call, chosen between two, by a name of the module or of one
that it imports, in a mapping that is handed on. A word that is put together while the program runs is not seen.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from spec.service_code import ServiceCode

#: The argument of a log call that becomes the line's event (DECISIONS 20).
KEY = "what"

_METHODS = frozenset(("debug", "info", "warning", "warn", "error", "exception", "critical", "log", "bind"))
_SAYS = re.compile(rf"\b{KEY}\s*=|[\"']{KEY}[\"']\s*:")


def events(code: ServiceCode, files: Iterable[Path]) -> frozenset[str]:
    """Return every event that these files log."""
    return frozenset(event for file in files for event in _of(code, file))


def _of(code: ServiceCode, file: Path) -> Iterator[str]:
    if not _SAYS.search(code.tree.text(file)) or (module := code.tree.code(file)) is None:
        return
    known: defaultdict[str, list[ast.expr]] = defaultdict(list)
    said: list[ast.expr] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    known[target.id].append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            known[node.target.id].append(node.value)
        elif isinstance(node, ast.Call) and _may_log(node):
            said += [word.value for word in node.keywords if word.arg == KEY]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            said += [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == KEY]
    constants = code.constants(file)
    for expression in said:
        for word in _words(expression):
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                yield word.value
            elif isinstance(word, ast.Name):
                yield from _by_name(word.id, known, constants.get(word.id))


def _may_log(call: ast.Call) -> bool:
    """Whether a call is of a method that loggers have, or of a name, which may stand for one."""
    return isinstance(call.func, ast.Name) or (isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS)


def _by_name(name: str, known: dict[str, list[ast.expr]], constant: str | None) -> Iterator[str]:
    if constant is not None:
        yield constant
    for value in known.get(name, ()):
        yield from (one.value for one in _words(value) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _words(expression: ast.expr) -> Iterator[ast.expr]:
    """The expressions of which one becomes the value."""
    if isinstance(expression, ast.IfExp):
        yield from _words(expression.body)
        yield from _words(expression.orelse)
    elif isinstance(expression, ast.BoolOp):
        for value in expression.values:
            yield from _words(value)
    else:
        yield expression
