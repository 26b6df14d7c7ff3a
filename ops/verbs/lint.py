"""`sluice lint`: check the specs of all services, queues, secrets and stacks, and print the retry timelines."""

from __future__ import annotations

from typing import Annotated

import typer

import spec
from ops.home import ROOT
from ops.output import Output


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
    rows = {} if errors else _timelines()
    if timelines:
        for queue, lines in rows.items():
            out.say(f"\n[bold]{queue}[/bold]")
            for line in lines:
                out.plain(f"  {line}")
    warnings = len(findings) - len(errors)
    out.say(f"{len(errors)} errors, {warnings} warnings")
    out.result(
        {"errors": len(errors), "warnings": warnings, "findings": [f.as_json() for f in findings], "timelines": rows}
    )
    if errors:
        raise typer.Exit(1)
