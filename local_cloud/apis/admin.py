"""The local cloud's own controls under /_sluice/, at the owner's door only: status, clock, idle, log.

Other modules add their parts: `cloud.status["queues"] = function` for the status, or routes of their own.
"""

import datetime
import math
from typing import Any

from local_cloud.clock import WAIT_SECONDS, ClockError
from local_cloud.cloud import Cloud
from local_cloud.errors import invalid
from local_cloud.registry import Api, Call, HttpRequest

API = Api("admin")

#: Real seconds that one call may wait at most.
MAX_WAIT = 3600.0


@API.route("GET", "/_sluice/status", owner_only=True)
async def status(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """What is here and how it stands."""
    import os

    settings = cloud.settings
    parts = {name: part() for name, part in cloud.status.items()}
    return {
        "project": settings.project,
        "project_number": settings.project_number,
        "location": settings.location,
        "pid": os.getpid(),
        "ports": cloud.ports,
        "queues": {},
        "services": {},
        "in_flight": cloud.clock.in_flight(),
        **parts,
    }


@API.route("GET", "/_sluice/clock", owner_only=True)
async def clock(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """The cloud's time, and the offset that a move under way will end with."""
    return {
        "now": rfc3339(cloud.now()),
        "offset": cloud.clock.offset,
        "moving_to": cloud.clock.heading_for(),
        "url": cloud.clock.url,
    }


@API.route("POST", "/_sluice/clock:advance", owner_only=True)
async def advance(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Moves the clock from timer to timer, letting each one's work come to rest, for `wait` real seconds at most."""
    body = _object(request)
    wait = min(_number(body, "wait"), MAX_WAIT) if "wait" in body else WAIT_SECONDS
    if wait < 0:
        raise invalid("wait is a number of real seconds, from 0 on.")
    try:
        moved = await cloud.clock.advance(_number(body, "seconds"), wait)
    except ClockError as error:
        raise invalid(str(error)) from None
    return {
        "now": rfc3339(moved.now),
        "offset": moved.offset,
        "fired": moved.fired,
        "unsettled": moved.unsettled,
        "stopped": moved.stopped,
        "wait": wait,
    }


@API.route("POST", "/_sluice/clock:stop", owner_only=True)
async def stop(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """Ends a move under way where the clock stands; whoever asked for it is answered then."""
    stopped = cloud.clock.stop()
    return {"stopped": stopped, "now": rfc3339(cloud.now()), "offset": cloud.clock.offset}


@API.route("POST", "/_sluice/idle", owner_only=True)
async def idle(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Waits until nothing is in flight and nothing is due now."""
    body = _object(request)
    timeout = min(_number(body, "timeout"), MAX_WAIT) if "timeout" in body else 30.0
    rest = await cloud.clock.settle(timeout)
    due = cloud.clock.next_due()
    return {
        "idle": rest,
        "in_flight": cloud.clock.in_flight(),
        "next_due": rfc3339(due) if due is not None else None,
    }


@API.route("GET", "/_sluice/log", owner_only=True)
async def log(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """The cloud's last events."""
    return {"events": list(cloud.log.events)}


def rfc3339(seconds: float) -> str:
    """Epoch seconds as Google writes times."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")


def _object(request: HttpRequest) -> dict[str, Any]:
    if request.json is None:
        return {}
    if not isinstance(request.json, dict):
        raise invalid("A JSON object is expected.")
    return request.json


def _number(body: dict[str, Any], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(f'A number is expected: {{"{name}": 60}}.')
    return float(value)
