"""IAM's controls under /_sluice/iam, at the owner's door only: mode, delay, the trail of decisions, unused bindings."""

import math
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import invalid
from local_cloud.iam.unused import as_time, report
from local_cloud.registry import Api, Call, HttpRequest

API = Api("iam_controls", host="iam.googleapis.com")

#: Decisions that one answer has, and its ceiling.
LIMIT, MOST = 5_000, 50_000


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Writes what was counted and decided."""
    cloud.iam.usage.flush()
    cloud.iam.trail.flush()


@API.route("GET", "/_sluice/iam", owner_only=True)
async def settings(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """The mode, the delay, and which changes have not taken effect yet."""
    return _settings(cloud)


@API.route("POST", "/_sluice/iam/mode", owner_only=True)
async def mode(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """{"mode": "audit"}: enforce refuses, audit lets through and records, off asks nothing."""
    cloud.iam.set_mode(str(_given(request, "mode")))
    return _settings(cloud)


@API.route("POST", "/_sluice/iam/delay", owner_only=True)
async def delay(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """{"seconds": 120}: how long changes of policies spread from now on."""
    seconds = _given(request, "seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise invalid('A number of seconds is expected: {"seconds": 120}.')
    cloud.iam.set_delay(float(seconds))
    return _settings(cloud)


@API.route("GET", "/_sluice/iam/decisions", owner_only=True)
async def decisions(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The last decisions, oldest first; ?refused=true, ?principal=, ?permission=, ?resource= (parts of) and ?limit=."""
    limit = request.arg("limit", str(LIMIT))
    if not limit.isdecimal() or not 0 < int(limit) <= MOST:
        raise invalid(f"The limit is a number from 1 to {MOST}.")
    parts = {name: request.arg(name) for name in ("principal", "permission", "resource")}
    refused = request.arg("refused").lower() == "true"

    def wanted(one: dict[str, Any]) -> bool:
        return (not refused or not one["granted"]) and all(part in one[name] for name, part in parts.items())

    return {"mode": cloud.iam.mode, "decisions": cloud.iam.trail.last(int(limit), wanted)}


@API.route("GET", "/_sluice/iam/unused", owner_only=True)
async def unused(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """Which bindings no call has needed, which cannot be needed here, and what the others were used for."""
    return report(cloud)


@API.route("POST", "/_sluice/iam/usage:reset", owner_only=True)
async def reset(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """Starts counting anew: a run begins."""
    cloud.iam.usage.reset()
    return report(cloud)


def _settings(cloud: Cloud) -> dict[str, Any]:
    iam = cloud.iam
    spreading = [{"resource": name, "until": as_time(until)} for name, until in iam.policies.spreading()]
    return {"mode": iam.mode, "delay": iam.delay, "spreading": spreading}


def _given(request: HttpRequest, name: str) -> Any:
    if not isinstance(request.json, dict) or name not in request.json:
        raise invalid(f'A JSON object with "{name}" is expected.')
    return request.json[name]
