"""The routes of ramp-up and duplicates, at the owner's door only. See knobs.py for what is kept."""

import math
from typing import Any

from local_cloud.apis.cloud_tasks.api import API
from local_cloud.apis.cloud_tasks.knobs import Knobs, law_of
from local_cloud.apis.cloud_tasks.state import State
from local_cloud.cloud import Cloud
from local_cloud.engines.duplicates import EVERY_QUEUE
from local_cloud.errors import invalid
from local_cloud.registry import Call, HttpRequest

#: How the share of every queue is named on the wire.
ALL = "*"


@API.route("GET", "/_sluice/tasks/ramp-up", owner_only=True)
async def get_ramp_up(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """How queues begin."""
    law = cloud.use(Knobs).law
    if law is None:
        return {"start": 0}
    return {"start": law.start, "growth": law.growth, "every": law.every, "idle": law.idle}


@API.route("POST", "/_sluice/tasks/ramp-up", owner_only=True)
async def set_ramp_up(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """`{"start": 5}`, with growth (0.5), every (300 s) and idle (300 s) where they differ; a start of 0 ends it."""
    body = _object(request, {"start", "growth", "every", "idle"})
    law = {name: _number(body, name) for name in body}
    if "start" not in law:
        raise invalid('"start" is required: the dispatches a second at which a queue begins, 0 for no ramp-up.')
    _check_ramp_up(law)
    cloud.use(Knobs).set_ramp_up(law)
    return await get_ramp_up(cloud, call, request)


@API.route("GET", "/_sluice/tasks/duplicates", owner_only=True)
async def get_duplicates(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """Which share of successes is delivered twice; "*" stands for every queue without a share of its own."""
    kept = cloud.use(Knobs).duplicates
    shares = {queue or ALL: share for queue, share in kept["shares"].items() if share or queue}
    return {"seed": kept["seed"], "shares": shares}


@API.route("POST", "/_sluice/tasks/duplicates", owner_only=True)
async def set_duplicates(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """`{"queue": "NAME", "share": 0.1, "seed": 7}`; without a queue for all, a share of 0 stops."""
    body = _object(request, {"queue", "share", "seed"})
    if "share" not in body:
        raise invalid('"share" is required: a number between 0 and 1, 0 for no duplicates.')
    share = _number(body, "share")
    if not 0 <= share <= 1:
        raise invalid(f'"share" must be between 0 and 1, not {share:g}.')
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or abs(seed) >= 2**63):
        raise invalid('"seed" must be a whole number.')
    cloud.use(Knobs).set_duplicates(_queue(cloud, body.get("queue", ALL)), share, seed)
    return await get_duplicates(cloud, call, request)


def _check_ramp_up(law: dict[str, float]) -> None:
    """Refuses a law under which a queue would never get faster, or not be a rate."""
    if law["start"] < 0 or law.get("growth", 1) < 0 or law.get("every", 1) <= 0 or law.get("idle", 1) <= 0:
        raise invalid('"start" and "growth" must not be negative, "every" and "idle" must be more than 0.')
    made = law_of(law)
    if made is not None and made.start * made.idle < 1:
        raise invalid(
            f'"start" of {made.start:g} a second is slower than one dispatch in the {made.idle:g} s after which a '
            'queue counts as idle: it would begin again and again. Raise "start" or "idle".'
        )


def _queue(cloud: Cloud, given: Any) -> str:
    """The full name of a queue given by its name or id."""
    if not isinstance(given, str):
        raise invalid('"queue" must be a queue\'s name.')
    if given in ("", ALL):
        return EVERY_QUEUE
    state = cloud.use(State)
    return state.queue(cloud, given if "/" in given else f"{state.home}/queues/{given}").name


def _object(request: HttpRequest, known: set[str]) -> dict[str, Any]:
    body = {} if request.json is None else request.json
    if not isinstance(body, dict):
        raise invalid("A JSON object is expected.")
    if unknown := sorted(set(body) - known):
        raise invalid(f'Unknown field "{unknown[0]}"; known are {", ".join(sorted(known))}.')
    return body


def _number(body: dict[str, Any], name: str) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(f'"{name}" must be a number.')
    return float(value)
