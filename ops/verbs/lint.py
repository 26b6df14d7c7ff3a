"""`sluice lint`: check the specs of all services, queues, secrets and stacks, and print the retry timelines."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

import spec
from ops import specs
from ops.home import ROOT
from ops.output import Output, counted
from spec import strategies, timeline

#: Attempts of a queue that --json lists; a queue that retries for a day has thousands.
MOST_ATTEMPTS = 50


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("lint", help="Check all specs; exit 1 if one is refused.")(lint)


def lint(
    *,
    timelines: Annotated[bool, typer.Option("--timelines", help="Print when each queue tries a failing task.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Check the specs."""
    out = Output(as_json=as_json)
    findings = spec.lint(ROOT)
    errors = [finding for finding in findings if finding.severity is spec.Severity.ERROR]
    for finding in findings:
        out.plain(str(finding), style="red" if finding in errors else "yellow")
    queues = {} if errors else specs.load().queues
    for queue in queues.values() if timelines else ():
        out.plain("\n" + timeline.render(queue))
    warnings = len(findings) - len(errors)
    out.say(f"{counted(len(errors), 'error')}, {counted(warnings, 'warning')}")
    out.result(
        {
            "errors": len(errors),
            "warnings": warnings,
            "findings": [finding.as_json() for finding in findings],
            "timelines": {name: _attempts(queue) for name, queue in queues.items()},
            "strategies": {name: strategies.strategies(queue) for name, queue in queues.items()},
        }
    )
    if errors:
        raise typer.Exit(1)


def _attempts(queue: spec.TaskQueue) -> list[dict[str, Any]]:
    return [row.as_json() for row in islice(timeline.rows(queue), MOST_ATTEMPTS)]
