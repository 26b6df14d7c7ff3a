"""`sluice lint`: check specs, stacks and what code and tree say of them; print findings, rules and retry timelines."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

import spec
from ops import findings, specs
from ops.errors import BadUsage
from ops.home import ROOT
from ops.output import Output, writable, write
from ops.sarif import sarif
from spec import Law, Report, Severity, files, strategies, timeline
from spec.stack import FOUNDATION_PREFIX

#: Attempts of a queue that --json lists; a queue that retries for a day has thousands.
MOST_ATTEMPTS = 50


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("lint", help="Check all specs; exit 1 if one is refused. With --strict also if one is warned of.")(lint)


def lint(
    *,
    timelines: Annotated[bool, typer.Option("--timelines", help="Print when each queue tries a failing task.")] = False,
    stack: Annotated[str, typer.Option(help="Of stacks only this one and its foundation.")] = "",
    silenced: Annotated[bool, typer.Option("--silenced", help="Show what files have silenced, and why.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 at a warning too.")] = False,
    explain: Annotated[str, typer.Option(help="Print the page of a rule, such as SL203, and check nothing.")] = "",
    sarif_to: Annotated[str, typer.Option("--sarif", help="Write the report as SARIF 2.1.0; - is this output.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Check the specs."""
    out = Output(as_json=as_json or sarif_to == "-")
    if explain:
        law = _law(explain)
        out.plain((ROOT / law.page).read_text("utf-8").rstrip())
        out.result({"rule": law.number, "title": law.title, "page": law.page})
        return
    if sarif_to not in ("", "-"):
        writable(Path(sarif_to))
    report = _of_stack(spec.report(ROOT), stack)
    if sarif_to:
        log = json.dumps(sarif(report, spec.laws()), indent=1) + "\n"
        print(log, end="") if sarif_to == "-" else write(Path(sarif_to), log)
    findings.show(out, report, silenced=silenced)
    errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
    queues = {} if errors else specs.load().queues
    for queue in queues.values() if timelines else ():
        out.plain("\n" + timeline.render(queue))
    if sarif_to != "-":
        out.result(_value(report, errors, queues))
    if errors or (strict and report.findings):
        raise typer.Exit(1)


def _law(number: str) -> Law:
    law = spec.laws().get(number.upper())
    if law is None:
        raise BadUsage(f"there is no rule {number}", fix="docs/lint/README.md lists them")
    return law


def _of_stack(report: Report, stack: str) -> Report:
    """Leave out what stands in the files of other stacks."""
    if not stack:
        return report
    specs.known(stack)
    env = stack.removeprefix(FOUNDATION_PREFIX)
    hidden = {file.shown_as for name, file in files.stacks(ROOT).items() if name.removeprefix(FOUNDATION_PREFIX) != env}
    return replace(
        report,
        findings=[one for one in report.findings if one.where.file not in hidden],
        silenced=[one for one in report.silenced if one.finding.where.file not in hidden],
    )


def _value(report: Report, errors: int, queues: Any) -> dict[str, Any]:
    return {
        "errors": errors,
        "warnings": len(report.findings) - errors,
        "findings": [finding.as_json() for finding in report.findings],
        "silenced": [{**one.finding.as_json(), "reason": one.reason} for one in report.silenced],
        "timelines": {name: _attempts(queue) for name, queue in queues.items()},
        "strategies": {name: strategies.strategies(queue) for name, queue in queues.items()},
    }


def _attempts(queue: spec.TaskQueue) -> list[dict[str, Any]]:
    return [row.as_json() for row in islice(timeline.rows(queue), MOST_ATTEMPTS)]
