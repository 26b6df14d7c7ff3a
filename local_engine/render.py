"""A result as people read it: what changes, under the component it belongs to, by property path, and a line of totals.

Owns the words and signs; colours only where the caller asks for them. Secrets are [secret], what is not known yet is
<computed>.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from .model import Change, Op, Result, Step
from .values import Secret, Unknown, has_secret, has_unknown, masked

_SIGNS: Final = {
    Op.CREATE: ("+", "32"),
    Op.UPDATE: ("~", "33"),
    Op.REPLACE: ("+-", "35"),
    Op.DELETE: ("-", "31"),
    Op.RETAIN: ("-", "33"),
    Op.IMPORT: ("=", "36"),
    Op.SKIP: ("!", "31"),
    Op.SAME: (" ", "0"),
    Op.READ: ("?", "36"),
}
_TOTALS: Final = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "retain": "to forget",
    "import": "to import",
    "skip": "not attempted",
    "same": "unchanged",
}
_DONE: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "retain": "forgotten",
    "import": "imported",
    "skip": "not attempted",
    "same": "unchanged",
}


def render(result: Result, *, colour: bool = False, detail: bool = True, all_resources: bool = False) -> str:
    """The whole result; ``detail`` shows properties, ``all_resources`` also what stays the same."""
    lines = [f"stack {result.stack}: {result.mode}, compared with {result.compared_with}"]
    shown = [step for step in result.steps if step.custom and (all_resources or step.op is not Op.SAME)]
    component = ""
    for above, step in _by_component(result, shown):
        if above != component:
            component = above
            lines.append(above)
        lines += step_lines(step, colour=colour, detail=detail)
    lines += [f"warning: {warning}" for warning in result.warnings]
    if result.outputs:
        lines.append("outputs:")
        lines += [f"    {name}: {_shown(value)}" for name, value in sorted(result.outputs.items())]
    lines += [_coloured(f"error: {problem}", "31", colour) for problem in result.problems]
    lines.append(totals(result))
    return "\n".join(lines)


def _by_component(result: Result, shown: list[Step]) -> list[tuple[str, Step]]:
    """Each step with the line of the component of the stack that it stands in; in the order of these."""
    components = {step.urn: step for step in result.steps if not step.custom}
    under: dict[str, list[Step]] = {}
    for step in shown:
        above = step
        while above.parent in components and components[above.parent].parent:
            above = components[above.parent]
        under.setdefault("" if above is step else above.urn, []).append(step)
    heads = {urn: _heading(components[urn], steps) for urn, steps in under.items() if urn}
    return [(heads.get(urn, ""), step) for urn, steps in under.items() for step in steps]


def _heading(component: Step, steps: list[Step]) -> str:
    number = f"{len(steps)} resource{'s' if len(steps) > 1 else ''}"
    return f"{component.type.rpartition(':')[2]} {component.name}: {number}"


def totals(result: Result) -> str:
    """One line: how many of each, and how many calls wrote."""
    words = _TOTALS if result.mode == "preview" else _DONE
    counts = result.counts
    parts = [f"{counts[name]} {word}" for name, word in words.items() if counts.get(name)]
    line = ", ".join(parts) or "no resources"
    if result.mode != "preview":
        line += f"; {result.writes} write calls, {result.reads} reads, {result.seconds:.1f} s"
    return line


def step_lines(step: Step, *, colour: bool = False, detail: bool = True) -> Iterator[str]:
    """One resource: its line, and its properties below."""
    sign, code = _SIGNS[step.op]
    reason = f"  ({step.reason})" if step.reason else ""
    retained = "  (stays in the cloud)" if step.op is Op.RETAIN else ""
    yield _coloured(f"{sign:>2} {step.type}  {step.name}{reason}{retained}", code, colour)
    if not detail:
        return
    if step.op is Op.CREATE:
        for path, value in _leaves("", step.inputs):
            yield _coloured(f"      + {path}: {_shown(value)}", code, colour)
    for change in step.changes:
        yield _coloured(f"      {_change(change)}", code, colour)


def _change(change: Change) -> str:
    note = "  (forces replacement)" if change.replaces else "  (changed outside)" if change.drift else ""
    if change.kind == "add":
        return f"+ {change.path}: {_shown(change.new)}{note}"
    if change.kind == "delete":
        return f"- {change.path}: {_shown(change.old)}{note}"
    return f"~ {change.path}: {_shown(change.old)} => {_shown(change.new)}{note}"


def _leaves(at: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(f"{at}.{name}" if at else str(name), item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            name = item.get("name") if isinstance(item, dict) else None
            yield from _leaves(f"{at}[{name if isinstance(name, str) else index}]", item)
    else:
        yield at, value


def _shown(value: Any) -> str:
    if isinstance(value, Secret | Unknown):
        return repr(value)
    if isinstance(value, str) and not (has_secret(value) or has_unknown(value)):
        return json.dumps(value)
    return json.dumps(masked(value))


def _coloured(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code != "0" else text
