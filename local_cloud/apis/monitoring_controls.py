"""The lag of metrics under /_sluice/metrics, at the owner's door only: how late points are seen, changed as it runs."""

import math
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import invalid
from local_cloud.registry import Api, Call, HttpRequest

API = Api("monitoring_controls", host="monitoring.googleapis.com")


@API.on_start
async def start(cloud: Cloud) -> None:
    """The status says it too."""
    cloud.status["metrics"] = lambda: _settings(cloud)


@API.route("GET", "/_sluice/metrics", owner_only=True)
async def settings(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """The lag in seconds."""
    return _settings(cloud)


@API.route("POST", "/_sluice/metrics/lag", owner_only=True)
async def lag(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """{"seconds": 180}: how late points of metrics are seen from now on."""
    seconds = request.json.get("seconds") if isinstance(request.json, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise invalid('A number of seconds is expected: {"seconds": 180}.')
    cloud.metric_lag.turn(float(seconds))
    return _settings(cloud)


def _settings(cloud: Cloud) -> dict[str, Any]:
    return {"lag": cloud.metric_lag.seconds}
