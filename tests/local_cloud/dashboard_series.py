"""Which widgets of a dashboard show nothing: its queries, asked of a cloud as Google's console asks them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from tests.local_cloud.run_client import http


def empty_widgets(rest: str, project: str, dashboard: dict[str, Any], now: float, seconds: float = 3600) -> list[str]:
    """The titles of the widgets of a dashboard (its JSON) that have queries of series, none of which has a point."""
    found = []
    for widget in widgets(dashboard):
        asked = list(parts(widget))
        if asked and not any(points(rest, project, part, now, seconds) for part in asked):
            found.append(widget.get("title", ""))
    return found


def widgets(node: Any) -> Iterator[dict[str, Any]]:
    """Every widget below a layout."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "widgets":
                yield from value
            elif name == "widget":
                yield value
            else:
                yield from widgets(value)
    elif isinstance(node, list):
        for value in node:
            yield from widgets(value)


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every filter with its aggregation."""
    if isinstance(node, dict):
        if isinstance(node.get("filter"), str) and "aggregation" in node:
            yield node
        for value in node.values():
            yield from parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from parts(value)


def points(rest: str, project: str, part: dict[str, Any], now: float, seconds: float) -> int:
    """How many points a filter with its aggregation has in the time before now."""
    query = {
        "filter": part["filter"],
        "interval.startTime": datetime.fromtimestamp(now - seconds, UTC).isoformat(),
        "interval.endTime": datetime.fromtimestamp(now, UTC).isoformat(),
    }
    query |= {f"aggregation.{name}": value for name, value in part["aggregation"].items() if isinstance(value, str)}
    repeated = [("aggregation.groupByFields", field) for field in part["aggregation"].get("groupByFields", [])]
    answer = http(f"{rest}/v3/projects/{project}/timeSeries?{urlencode([*query.items(), *repeated])}")
    assert answer.status == 200, answer.body
    return sum(len(series["points"]) for series in answer.json.get("timeSeries", []))
