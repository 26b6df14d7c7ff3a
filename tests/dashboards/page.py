"""The tables of docs/alerts.md, made of the files in dashboards/: alerts, metrics, objectives, boards.

Owns what stands below the page's mark. What the documents asked for and what was changed stands above it, by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from spec import Alert, Condition, System, boards, load
from spec.selection import Match, Selection

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/alerts.md"
MARK = "<!-- Below: made of dashboards/ by `python -m tests.dashboards`. -->\n"
SEVERITIES = ("critical", "error", "warning", "info")
COMBINED = {"any": "; or ", "all": "; and ", "all_on_one_resource": "; and, of the same, "}


@cache
def system() -> System:
    """The project's specs."""
    return load(ROOT)


def written() -> str:
    """The page as it ought to be."""
    above = PAGE.read_text().partition(MARK)[0]
    return above + MARK + "\n".join(tables(system())) + "\n"


def tables(specs: System) -> Iterator[str]:
    """Every line below the mark."""
    yield from ("", "## Alerts", "", "| alert | severity | when | asked for by | runbook |", "|---|---|---|---|---|")
    for name, alert in sorted(specs.alerts.items(), key=lambda one: (SEVERITIES.index(one[1].severity), one[0])):
        when = COMBINED[alert.combine].join(said(one) for one in alert.conditions)
        link = f"[{alert.runbook}](runbook.md#{alert.runbook})"
        yield f"| `{name}` | {alert.severity} | {when} | {alert.source} | {link} |"
    yield from ("", "## Objectives", "", "| objective | goal | promise | asked for by |", "|---|---|---|---|")
    for name, slo in specs.slos.items():
        yield f"| `{name}` | {slo.goal} % in {slo.window or slo.calendar} | {slo.what} | {slo.source} |"
    yield from ("", "## Log-based metrics", "", "| metric | says | labels | asked for by |", "|---|---|---|---|")
    for name, metric in specs.metrics.items():
        value = f", `{metric.value.name}` in {metric.unit}" if metric.value is not None else ""
        labels = ", ".join(sorted(metric.labels))
        yield f"| `{name}` | {metric.what} ({metric.kind}{value}) | {labels} | {metric.source} |"
    yield from ("", "## Boards", "", "| file | dashboard | widgets |", "|---|---|---|")
    for name, board in specs.boards.items():
        drawn = boards.draw(board, specs)
        titles = [str(widget.get("title", "")) for widget in boards.widgets(drawn)]
        yield f"| `{name}` | {drawn['displayName']} | {'; '.join(titles)} |"


def said(condition: Condition) -> str:
    """A condition in a few words."""
    held = f" for {condition.held}" if condition.held.milliseconds else ""
    if condition.log is not None:
        events = " or ".join(f"`{event}`" for event in condition.log.event or ("a line",))
        return f"{events} is logged" + (f" with `{_one_line(condition.log.where)}`" if condition.log.where else "")
    bound = f"> {condition.above}" if condition.above is not None else f"< {condition.below}"
    if condition.slo is not None:
        return f"`{condition.slo}` burns {bound} over {condition.over}"
    if condition.absent_for is not None:
        return f"{_series(condition.selection)} is absent for {condition.absent_for}"
    share = "the share of " if condition.of is not None else ""
    soon = f" within {condition.forecast}" if condition.forecast is not None else ""
    return f"{share}{_series(condition.selection)} {bound}{held}{soon}"


def _series(selection: Selection) -> str:
    name = selection.metric.removeprefix("cloudtasks.googleapis.com/").removeprefix("pubsub.googleapis.com/")
    name = name.removeprefix("run.googleapis.com/")
    where = [f"{label} {_matched(match)}" for label, match in selection.where.items()]
    across = f"{selection.across.by} of " if selection.across is not None else ""
    if selection.align is not None and selection.align.by == "percent_change":
        across = "change of "
    per = f" by {', '.join(selection.across.keep)}" if selection.across is not None and selection.across.keep else ""
    span = f" in {selection.align.every}" if selection.align is not None else ""
    return f"{across}`{name}`{span}{' with ' + ', '.join(where) if where else ''}{per}"


def _matched(match: Match) -> str:
    if match.unlike is not None:
        return f"not {', '.join(match.unlike)}"
    return match.matches or (f"{match.starts}..." if match.starts else " or ".join(match.among or ()))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def alerts_of(anchor: str) -> list[Alert]:
    """The alerts that name a section of the runbook."""
    return [alert for alert in system().alerts.values() if alert.runbook == anchor]
