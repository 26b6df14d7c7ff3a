"""Snoozes: for a time, named alert policies open no incidents. They cannot be deleted, only ended.

Owns the resource and its laws; whether one holds for an incident is alerting/snoozes.py's.
Source: google/monitoring/v3/snooze.proto, snooze_service.proto.
"""

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from operator import ge, gt, le, lt

from local_cloud.apis.monitoring import API
from local_cloud.apis.monitoring_descriptors import page_size
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, failed_precondition, invalid
from local_cloud.metrics import query
from local_cloud.metrics.series import SECOND
from local_cloud.plain import Plain, merge, page
from local_cloud.registry import Call

ALERT = "google.monitoring.v3.AlertPolicy"
SNOOZE = "google.monitoring.v3.Snooze"
MOST_POLICIES, LONGEST_NAME, MAX_PAGE = 16, 512, 1000
#: How far in the past a snooze may begin: what a request takes to arrive.
SKEW = 15 * SECOND
CHANGEABLE = ("display_name", "interval.start_time", "interval.end_time")
_COMPARISON = re.compile(r"""interval\.(start_time|end_time)\s*(>=|<=|>|<)\s*["']([^"']+)["']""")
_SIGNS: dict[str, Callable[[int, int], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept."""
    Plain(cloud, SNOOZE)


@API.rpc("SnoozeService.CreateSnooze", permission="monitoring.snoozes.create")
async def create_snooze(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new snooze of policies that exist."""
    made = message(SNOOZE)()
    made.CopyFrom(request.snooze)
    made.name = f"{request.parent}/snoozes/{10**18 + secrets.randbelow(9 * 10**18)}"
    policies = [cloud.canonical(policy) for policy in made.criteria.policies]
    if not 1 <= len(policies) <= MOST_POLICIES:
        raise invalid(f"Field snooze.criteria.policies must have 1 to {MOST_POLICIES} elements, not {len(policies)}.")
    if made.criteria.filter:
        if len(policies) != 1:
            raise invalid("Field snooze.criteria.filter: exactly one alert policy is required with a filter.")
        named = query.parse(made.criteria.filter, "snooze.criteria.filter").named
        if any(selector != "resource.labels" for selector, _ in named):
            raise _refused("criteria.filter", made.criteria.filter, "resource labels joined by AND are expected.")
    for policy in policies:
        Plain(cloud, ALERT, noun="AlertPolicy").get(policy)
    made.criteria.policies[:] = policies
    _check(made)
    if made.interval.start_time.ToNanoseconds() < _now(cloud) - SKEW:
        raise _refused("interval.startTime", made.interval.start_time.ToJsonString(), "it must not be in the past.")
    return Plain(cloud, SNOOZE).create(made.name, made)


@API.rpc("SnoozeService.GetSnooze", permission="monitoring.snoozes.get")
async def get_snooze(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a snooze."""
    return Plain(cloud, SNOOZE, noun="Snooze").get(request.name)


@API.rpc("SnoozeService.ListSnoozes", permission="monitoring.snoozes.list")
async def list_snoozes(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Snoozes, those whose times a filter lets through, the newest first."""
    wanted = _times(request.filter)
    kept = Plain(cloud, SNOOZE).below(f"{request.parent}/snoozes")
    found = [made for made in kept if all(test(made) for test in wanted)]

    def order(made: Message) -> str:
        return f"{2**63 - made.interval.start_time.ToNanoseconds():019}{made.name}"

    size = page_size(request.page_size)
    taken, token = page(found, size, request.page_token, order, default=MAX_PAGE, most=MAX_PAGE)
    return message("google.monitoring.v3.ListSnoozesResponse")(snoozes=taken, next_page_token=token)


@API.rpc("SnoozeService.UpdateSnooze", permission="monitoring.snoozes.update")
async def update_snooze(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change what its times still let be changed; an end that is now ends it."""
    name, mask = cloud.canonical(request.snooze.name), list(request.update_mask.paths)
    current, now = Plain(cloud, SNOOZE, noun="Snooze").get(name), _now(cloud)
    if not mask:
        raise invalid("Field updateMask is required.")
    for path in mask:
        if path not in CHANGEABLE:
            raise _refused("updateMask", path, f"{', '.join(CHANGEABLE)} can be changed.")
    if current.interval.end_time.ToNanoseconds() <= now:
        raise failed_precondition("A snooze whose end time is in the past cannot be changed.")
    begun = current.interval.start_time.ToNanoseconds() <= now
    if begun and "interval.start_time" in mask:
        raise failed_precondition("The start time of a snooze that has begun cannot be changed.")
    made = merge(current, request.snooze, mask)
    made.name = name
    _check(made)
    earliest = now - SKEW
    if not begun and made.interval.start_time.ToNanoseconds() < earliest:
        raise _refused("interval.startTime", made.interval.start_time.ToJsonString(), "it must not be in the past.")
    if made.interval.end_time.ToNanoseconds() < earliest:
        raise _refused("interval.endTime", made.interval.end_time.ToJsonString(), "it must not be in the past.")
    Plain(cloud, SNOOZE).kept[name] = made
    return made


def _check(made: Message) -> None:
    if not made.display_name:
        raise invalid("Field snooze.displayName is required.")
    if len(made.display_name) > LONGEST_NAME:
        raise invalid(f"Field snooze.displayName has at most {LONGEST_NAME} characters.")
    for field, name in (("start_time", "startTime"), ("end_time", "endTime")):
        if not made.interval.HasField(field):
            raise invalid(f"Field snooze.interval.{name} is required.")
    if made.interval.end_time.ToNanoseconds() <= made.interval.start_time.ToNanoseconds():
        raise _refused("interval.endTime", made.interval.end_time.ToJsonString(), "it must be after the start time.")


def _times(text: str) -> list[Callable[[Message], bool]]:
    """What a filter such as `interval.start_time > "2026-01-01T00:00:00Z" AND ...` asks for."""
    return [_comparison(part, text) for part in text.split(" AND ")] if text.strip() else []


def _comparison(part: str, text: str) -> Callable[[Message], bool]:
    match = _COMPARISON.fullmatch(part.strip())
    try:
        if match is None:
            raise ValueError
        at = datetime.fromisoformat(match[3].replace("Z", "+00:00"))
    except ValueError:
        why = "interval.start_time and interval.end_time with >, >=, <, <= and a time, joined by AND, are known."
        raise invalid(f'Field filter had an invalid value of "{text}": {why}') from None
    field, holds = match[1], _SIGNS[match[2]]
    moment = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * SECOND)
    return lambda made: holds(getattr(made.interval, field).ToNanoseconds(), moment)


def _now(cloud: Cloud) -> int:
    return int(cloud.now() * SECOND)


def _refused(field: str, value: object, why: str) -> ApiError:
    return invalid(f'Field snooze.{field} had an invalid value of "{value}": {why}')
