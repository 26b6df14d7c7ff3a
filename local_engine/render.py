"""A result as people read it: what changes, under the component it belongs to, by property path, and a line of totals.

Owns the words and signs; colours only where the caller asks for them, and what is cut of long values is texts.py's.
Secrets are [secret], what is not known yet is <computed>.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .diff import changes
from .model import Op, Result, Step
from .texts import changed, folded, lines, whole
from .values import Unknown

#: How deep the stack's outputs stand.
OUTPUT: Final = 4

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


def render(
    result: Result, *, colour: bool = False, detail: bool = True, all_resources: bool = False, width: int | None = None
) -> str:
    """The whole result; ``detail`` shows properties, ``all_resources`` also what stays the same.

    With a ``width`` long values are cut so that lines fit; without one everything is shown.
    """
    found = [*folded(f"stack {result.stack}: {result.mode}, compared with {result.compared_with}", width, 4)]
    shown = [step for step in result.steps if step.custom and (all_resources or step.op is not Op.SAME)]
    component = ""
    for above, step in _by_component(result, shown):
        if above != component:
            component = above
            found.append(above)
        found += step_lines(step, colour=colour, detail=detail, width=width)
    for warning in result.warnings:
        found += folded(f"warning: {warning}", width, 4)
    found += _outputs(result, width, all_outputs=all_resources or width is None)
    for problem in result.problems:
        found += [_coloured(line, "31", colour) for line in folded(f"error: {problem}", width, 4)]
    found.append(totals(result))
    return "\n".join(found)


def _outputs(result: Result, width: int | None, *, all_outputs: bool) -> Iterator[str]:
    """What the stack says to others: all of it where nothing was saved, else what differs from that."""
    if width is None:
        entries = [f"{' ' * OUTPUT}{name}: {whole(value)}" for name, value in sorted(result.outputs.items())]
        yield from ["outputs:", *entries] if entries else []
        return
    if result.saved_outputs is None or all_outputs:
        found = list(_leaves("", dict(sorted(result.outputs.items())))) if result.outputs else []
        yield from ["outputs:"] if found else []
        for name, value in found:
            yield from lines("", name, value, width, deep=OUTPUT)
        return
    different = [one for one in changes(result.saved_outputs, result.outputs) if not isinstance(one.new, Unknown)]
    if different:
        yield "outputs:"
        for change in different:
            yield from changed(change, width)


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


def step_lines(step: Step, *, colour: bool = False, detail: bool = True, width: int | None = None) -> Iterator[str]:
    """One resource: its line, and its properties below."""
    sign, code = _SIGNS[step.op]
    reason = f"  ({step.reason})" if step.reason else ""
    retained = "  (stays in the cloud)" if step.op is Op.RETAIN else ""
    for line in folded(f"{sign:>2} {step.type}  {step.name}{reason}{retained}", width, 4):
        yield _coloured(line, code, colour)
    if not detail:
        return
    if step.op is Op.CREATE:
        for path, value in _leaves("", step.inputs):
            yield from (_coloured(line, code, colour) for line in lines("+", path, value, width))
    for change in step.changes:
        yield from (_coloured(line, code, colour) for line in changed(change, width))


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


def _coloured(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code != "0" else text
