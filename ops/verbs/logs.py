"""`sluice logs`: what services and local cloud wrote, by payment, service, severity or a filter of Cloud Logging."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ops import clouds, place, rest, specs
from ops.afar import Doors
from ops.cloud import Cloud, LocalCloud
from ops.clouds import WhichCloud
from ops.confirming import Json, WhichStack
from ops.errors import BadUsage, CallFailed, OpsError
from ops.follow import ENTRY
from ops.operator import Operator
from ops.output import Output
from spec.stack import LOCAL

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
    stack: WhichStack = LOCAL,
    which: WhichCloud = "",
    as_json: Json = False,
) -> None:
    """Print entries."""
    out = Output(as_json=as_json, endless=follow)
    if severity and severity.upper() not in SEVERITIES:
        raise BadUsage(f"--severity is {severity}", fix=f"use one of: {', '.join(SEVERITIES).lower()}")
    if stack != LOCAL:
        if follow or which:
            raise BadUsage(
                f"{'--follow' if follow else '--cloud'} is for a cloud on this machine, not for the stack {stack}",
                fix=f"gcloud logging tail --project {specs.config_of(stack).project} 'FILTER'" if follow else "",
            )
        there = place.of(stack)
        batch = _batch_of(there.doors, payment) if payment else ""
        wanted = _filter([payment, batch], service, severity, filter_)
        found = _readable(lambda: list(there.logs(wanted, newest_first=True, limit=limit))[::-1])
        _show_all(out, found, batch, payment)
        return
    cloud = clouds.find(which)
    status = cloud.status()
    project = status["project"]
    batch = _batch_of(Operator(cloud.home), payment) if payment and isinstance(cloud, LocalCloud) else ""
    wanted = _filter([payment, batch], service, severity, filter_)
    entries = _readable(lambda: list(cloud.logs(project, wanted, newest_first=True, limit=limit))[::-1])
    if not entries and service and service not in status["services"] and not follow:
        known = ", ".join(sorted(status["services"]))
        raise BadUsage(f"there is no service {service}", fix=f"use one of: {known}" if known else "none is deployed")
    _show_all(out, entries, batch, payment)
    if follow and not as_json:
        for entry in _coming(cloud, project, wanted, entries):
            show(out, entry)


def _readable(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return read()
    except CallFailed as error:
        if error.status != 400:
            raise
        raise BadUsage(rest.reason(error.body), fix="write it in Cloud Logging's query language") from error


def _show_all(out: Output, entries: list[dict[str, Any]], batch: str, payment: str) -> None:
    for entry in entries:
        show(out, entry)
    if not entries:
        out.plain(f"no entries for the payment {payment}" if payment else "no entry fits", style="yellow")
    elif batch:
        out.plain(f"{payment} is paid with the batch {batch}, whose entries are among these", style="dim")
    out.result(entries)


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
    out.plain(line, style=colour, more=more)


def _request(entry: dict[str, Any]) -> str:
    request = entry.get("httpRequest")
    if not request:
        return ""
    return " ".join(str(request.get(key, "")) for key in ("requestMethod", "requestUrl", "status", "latency"))


def _batch_of(operator: Doors, payment: str) -> str:
    """The batch that a payment is paid with: from there on it goes by the batch's id. Empty where there is none."""
    try:
        found = operator.call("GET", ENTRY, f"/payments/{quote(payment, safe='')}")
    except OpsError:  # not recorded, or the services do not answer: their logs are still there
        return ""
    return str((found.get("accumulation") or {}).get("batch_id") or "")


def _filter(ids: list[str], service: str, severity: str, more: str) -> str:
    named = " OR ".join(f"jsonPayload.unique_id={json.dumps(one)}" for one in ids if one)
    parts = [
        f'({named}) AND NOT jsonPayload.endpoint="/payments/{{unique_id}}"' if named else "",
        f"resource.labels.service_name={json.dumps(service)}" if service else "",
        f"severity>={severity.upper()}" if severity else "",
    ]
    known = " AND ".join(part for part in parts if part)
    return f"{known} AND ({more})" if known and more else known or more


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
