"""Where code starts something and does not wait for it, as far as its text tells.

Work counts as waited for where its function does so: a task inside an `await`, or by a name, attribute or collection
that an `await` of the same function holds; a future by its result, a thread by `join`; all of a TaskGroup, and of a
pool in a `with`. Leaves out what becomes of work that is returned or handed on: that is told of. The kit's own places,
where the requests that caused the work wait for it in another way, are listed with the reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
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

#: How a function that is not a coroutine waits for what it started.
WAITS = {
    "submit": {"result", "exception"},
    "run_coroutine_threadsafe": {"result", "exception"},
    "Thread": {"join"},
    "Timer": {"join"},
    "Process": {"join"},
    "Popen": {"wait", "communicate"},
}

#: Functions that wait for all futures that they are given.
WAIT_FOR_ALL = {"wait", "as_completed"}

#: What waits at its end for everything that was started by it, and how it is entered.
GROUPS = re.compile(r"TaskGroup|PoolExecutor")
ENTERED = re.compile(rf"enter(?:_async)?_context\(.*(?:{GROUPS.pattern})")

#: How a collection takes something in.
TAKES_IN = {"append", "add", "extend", "insert", "appendleft", "update"}

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
        nodes = list(_own(function))
        awaited, groups = _awaited(nodes), _groups(function, nodes)
        for node in nodes:
            if isinstance(node, ast.Call) and _starts(node, text) and not _in_group(node, groups):
                waited_for = awaited | _blocked_on(nodes, _name(node))
                if not waited_for & _held(nodes, node):
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


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _starts(call: ast.Call, text: str) -> bool:
    name = _name(call)
    return name in STARTS and FROM.get(name, "") in text


def _inside(*nodes: ast.AST) -> set[object]:
    """Every node of these, and every name and attribute there."""
    found: set[object] = set()
    for inner in (inner for node in nodes for inner in ast.walk(node)):
        found.add(id(inner))
        if isinstance(inner, ast.Name | ast.Attribute):
            found.add(ast.unparse(inner))
    return found


def _awaited(nodes: Sequence[ast.AST]) -> set[object]:
    """What an `await` holds; an `async for` awaits what it goes through."""
    return _inside(*(node.value for node in nodes if isinstance(node, ast.Await))) | _inside(
        *(node.iter for node in nodes if isinstance(node, ast.AsyncFor))
    )


def _blocked_on(nodes: Sequence[ast.AST], started_by: str) -> set[object]:
    """What the function stands still for, where what was started is waited for so."""
    found: set[object] = set()
    ways = WAITS.get(started_by, set())
    for node in nodes if ways else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ways:
            found |= _inside(node.func.value)
        if isinstance(node, ast.Call) and "result" in ways and _name(node) in WAIT_FOR_ALL:
            found |= _inside(*node.args)
        if isinstance(node, ast.With) and started_by == "Popen":
            found |= {id(item.context_expr) for item in node.items}
    return found


def _held(nodes: Sequence[ast.AST], call: ast.Call) -> set[object]:
    """The call, and whatever its result is given to: names, attributes, collections, and names for their members."""
    held: set[object] = {id(call)}
    flows = [flow for node in nodes for flow in _flows(node)]
    size = 0
    while size < len(held):
        size = len(held)
        for value, targets in flows:
            inside = _inside(value)
            # The result of a call with a task in it is something else; the call's own expression is looked into.
            if id(call) in inside or (held & inside and not isinstance(value, ast.Call)):
                held |= targets
    return held


def _flows(node: ast.AST) -> Iterator[tuple[ast.AST, set[object]]]:
    """What is given to what in a statement."""
    if isinstance(node, ast.Assign):
        yield node.value, {key for target in node.targets for key in _targets(target)}
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
        yield node.value, set(_targets(node.target))
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        through = node.iter
        if isinstance(through, ast.Call) and through.args:
            through = ast.Tuple(elts=[*through.args], ctx=ast.Load())  # as_completed(tasks), enumerate(tasks)
        elif isinstance(through, ast.Call):
            through = through.func  # tasks.values()
        yield through, set(_targets(node.target))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAKES_IN:
        for argument in node.args:
            yield argument, set(_targets(node.func.value))


def _targets(target: ast.AST) -> Iterator[object]:
    """The names and attributes that take a value; a place in a collection is the collection."""
    if isinstance(target, ast.Name | ast.Attribute):
        yield ast.unparse(target)
    elif isinstance(target, ast.Subscript | ast.Starred):
        yield from _targets(target.value)
    elif isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            yield from _targets(one)


def _groups(function: ast.AST, nodes: Sequence[ast.AST]) -> set[object]:
    """The names of what waits for everything at its end: entered here, or handed in by whoever entered it."""
    found: set[object] = set()
    for node in nodes:
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if item.optional_vars is not None and GROUPS.search(ast.unparse(item.context_expr)):
                    found |= set(_targets(item.optional_vars))
        elif isinstance(node, ast.Assign) and ENTERED.search(ast.unparse(node.value)):
            found |= {key for target in node.targets for key in _targets(target)}
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        for argument in (*function.args.args, *function.args.kwonlyargs):
            if argument.annotation is not None and "TaskGroup" in ast.unparse(argument.annotation):
                found.add(argument.arg)
    return found


def _in_group(call: ast.Call, groups: set[object]) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in groups
