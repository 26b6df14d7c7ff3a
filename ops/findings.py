"""Lint's report for people: by file, each finding with its place, its rule, what it breaks and how to fix it."""

from __future__ import annotations

from itertools import groupby

from ops.output import Output, counted
from spec import Report, Severity

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def show(out: Output, report: Report, *, silenced: bool) -> None:
    """Print the report; what is silenced only where it is asked for."""
    for _, findings in groupby(report.findings, key=lambda finding: finding.where.file):
        for finding in findings:
            out.plain(str(finding), style=COLOURS[finding.severity])
        out.plain("")
    for one in report.silenced if silenced else ():
        where = one.finding.where
        out.plain(f"{where}: {one.finding.rule} is silenced: {one.reason}", style="dim")
    out.say(summary(report))
    if report.findings:
        out.say(f"[dim]more: ./sluice lint --explain {report.findings[0].rule}[/dim]")


def summary(report: Report) -> str:
    """`1 error, 2 warnings, 4 silenced`."""
    errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
    text = f"{counted(errors, 'error')}, {counted(len(report.findings) - errors, 'warning')}"
    return text + (f", {len(report.silenced)} silenced" if report.silenced else "")
