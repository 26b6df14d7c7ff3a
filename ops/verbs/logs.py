"""`sluice logs`: what services and local cloud wrote, by payment, service, severity or a filter of Cloud Logging."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ops import clouds
from ops.cloud import Cloud
from ops.clouds import WhichCloud
from ops.errors import BadUsage
from ops.output import Output

_COLOURS = {"ERROR": "red", "CRITICAL": "red bold", "WARNING": "yellow", "DEBUG": "dim"}

#: Severities of Cloud Logging, in their order.
SEVERITIES = ["DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"]

#: Fields of a line that stand in its head, not in its tail.
_HEAD = {"message", "severity", "time", "timestamp", "service_name", "component"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("logs", help="Show log entries, oldest first.")(logs)


def logs(
    *,
    payment: Annotated[str, typer.Option("--payment", help="One payment's id: its way through all services.")] = "",
    service: Annotated[str, typer.Option("--service", help="One service.")] = "",
    severity: Annotated[str, typer.Option("--severity", help="This severity and above.")] = "",
    filter_: Annotated[str, typer.Option("--filter", help="A filter of Cloud Logging's query language.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print entries."""
    out = Output(as_json=as_json)
    if severity and severity.upper() not in SEVERITIES:
        raise BadUsage(f"--severity is {severity}", fix=f"use one of: {', '.join(SEVERITIES).lower()}")
    cloud = clouds.find(which)
    project = cloud.status()["project"]
    wanted = _filter(payment, service, severity, filter_)
    entries = list(cloud.logs(project, wanted, newest_first=True, limit=limit))[::-1]
    for entry in entries:
        show(out, entry)
    out.result(entries)
    if follow and not as_json:
        for entry in _coming(cloud, project, wanted, entries):
            show(out, entry)


def show(out: Output, entry: dict[str, Any]) -> None:
    """One entry as a line: date and time, severity, service, message, and what else it says."""
    payload = entry.get("jsonPayload", {})
    severity = entry.get("severity", "DEFAULT")
    labels = entry.get("resource", {}).get("labels", {})
    who = payload.get("service_name") or labels.get("service_name") or labels.get("queue_id") or "cloud"
    text = payload.get("message") or entry.get("textPayload") or _request(entry) or entry.get("logName", "")
    more = "  ".join(f"{key}={value}" for key, value in payload.items() if key not in _HEAD and value not in (None, ""))
    colour = _COLOURS.get(severity, "default")
    line = f"{entry.get('timestamp', '')[:23].replace('T', ' ')}  {severity:<8} {who:<14} {text}"
    out.plain(line, style=colour, end="  " if more else "\n")
    if more:
        out.plain(more, style="dim")


def _request(entry: dict[str, Any]) -> str:
    request = entry.get("httpRequest")
    if not request:
        return ""
    return " ".join(str(request.get(key, "")) for key in ("requestMethod", "requestUrl", "status", "latency"))


def _filter(payment: str, service: str, severity: str, more: str) -> str:
    parts = [
        f'jsonPayload.unique_id="{payment}" AND NOT jsonPayload.endpoint="/payments/{{unique_id}}"' if payment else "",
        f'resource.labels.service_name="{service}"' if service else "",
        f"severity>={severity.upper()}" if severity else "",
        f"({more})" if more else "",
    ]
    return " AND ".join(part for part in parts if part)


def _coming(cloud: Cloud, project: str, wanted: str, seen: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    known = {entry["insertId"] for entry in seen}
    since = seen[-1]["timestamp"] if seen else ""
    while True:
        newer = " AND ".join(part for part in (wanted, f'timestamp>="{since}"' if since else "") if part)
        for entry in cloud.logs(project, newer):
            if entry["insertId"] not in known:
                known.add(entry["insertId"])
                since = entry["timestamp"]
                yield entry
        time.sleep(0.5)
