"""Where code starts something and does not wait for it, as far as its text tells.

A task counts as waited for where its function awaits it: inside an `await`, by a name that an `await` of the same
function holds, or in a TaskGroup. The kit's own places, where the requests that caused the work wait for it in another
way, are listed with the reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spec.tree import Tree

#: What starts work beside the caller's.
STARTS = frozenset(
    {
        *("create_task", "ensure_future", "call_later", "call_at", "run_coroutine_threadsafe", "submit"),
        *("Thread", "Timer", "Process", "Popen", "add_task", "BackgroundTask", "BackgroundTasks"),
    }
)

#: Words of which one stands in a file that starts anything so.
WORDS = re.compile(
    r"\b(?:create_task|ensure_future|call_later|call_at|run_coroutine_threadsafe|Background\w+|add_task)\b"
    r"|\b(?:threading|multiprocessing|concurrent|subprocess)\b"
)

#: Calls of these names are meant only where the module imports what they come from.
FROM = {
    "Thread": "threading",
    "Timer": "threading",
    "Process": "multiprocessing",
    "Popen": "subprocess",
    "submit": "concurrent",
    "add_task": "Background",
}

#: The kit's places, and who waits there.
WAITED_FOR = {
    "service_code/kit/batch.py": "each caller awaits a future that the flush answers",
    "service_code/kit/together.py": "each caller awaits a future that the batch answers",
}


@dataclass(frozen=True, slots=True)
class Started:
    """A call that starts something."""

    name: str
    line: int
    column: int


def left_running(tree: Tree, file: Path) -> Iterator[Started]:
    """Yield what a file starts and does not wait for."""
    text = tree.text(file)
    if file.as_posix() in WAITED_FOR or not WORDS.search(text) or (code := tree.code(file)) is None:
        return
    for function in _functions(code):
        awaited, groups = _awaited(function), _groups(function)
        for node in _own(function):
            if isinstance(node, ast.Call) and _starts(node, text) and not _in_group(node, groups):
                held = {id(node), *_names_of(function, node)}
                if not held & awaited:
                    yield Started(ast.unparse(node.func), node.lineno, node.col_offset + 1)


def _functions(code: ast.Module) -> Iterator[ast.AST]:
    yield code
    for node in ast.walk(code):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that are not those of a function inside it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _starts(call: ast.Call, text: str) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in STARTS and FROM.get(name, "") in text


def _awaited(function: ast.AST) -> set[object]:
    """Every node below an `await`, and every name there."""
    found: set[object] = set()
    for node in _own(function):
        if isinstance(node, ast.Await):
            for inner in ast.walk(node.value):
                found.add(inner.id if isinstance(inner, ast.Name) else id(inner))
    return found


def _names_of(function: ast.AST, call: ast.Call) -> set[object]:
    """The names that a call's result is given, alone or in a list."""
    return {
        target.id
        for node in _own(function)
        if isinstance(node, ast.Assign) and any(inner is call for inner in ast.walk(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _groups(function: ast.AST) -> set[str]:
    return {
        item.optional_vars.id
        for node in _own(function)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and "TaskGroup" in ast.unparse(item.context_expr)
    }


def _in_group(call: ast.Call, groups: set[str]) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in groups
