"""Lifecycle rules: which are taken, and which objects one fits now.

Pure. Source: https://cloud.google.com/storage/docs/lifecycle.
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from local_cloud.storage.refusals import invalid

DAY = 86_400.0
ACTIONS = frozenset({"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"})
_NUMBERS = ("age", "daysSinceCustomTime", "daysSinceNoncurrentTime", "numNewerVersions")
_DATES = ("createdBefore", "customTimeBefore", "noncurrentTimeBefore")
_LISTS = ("matchesPrefix", "matchesSuffix", "matchesStorageClass")
MAX_RULES = 100


def check(said: Any) -> None:
    """Refuse rules that Google would."""
    rules = (said or {}).get("rule", []) if isinstance(said, dict) or said is None else None
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        raise invalid(f"A lifecycle has a list of at most {MAX_RULES} rules.")
    for rule in rules:
        action = (rule.get("action") or {}) if isinstance(rule, dict) else {}
        condition = rule.get("condition") if isinstance(rule, dict) else None
        if not isinstance(action, dict) or action.get("type") not in ACTIONS:
            raise invalid("A lifecycle management rule must have a valid action.")
        if action["type"] == "SetStorageClass" and not action.get("storageClass"):
            raise invalid("The action SetStorageClass needs a storageClass.")
        if not isinstance(condition, dict) or not condition:
            raise invalid("A lifecycle management rule must have at least one condition.")
        _check_condition(condition)


def _check_condition(condition: Mapping[str, Any]) -> None:
    for field, value in condition.items():
        good = (
            (field in _NUMBERS and isinstance(value, int) and not isinstance(value, bool) and value >= 0)
            or (field in _DATES and isinstance(value, str) and _date(value) is not None)
            or (field in _LISTS and isinstance(value, list) and all(isinstance(one, str) for one in value))
            or (field == "isLive" and isinstance(value, bool))
        )
        if not good:
            raise invalid(f"Invalid lifecycle condition: {field}={value!r}.")


def _date(text: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return None


def fits(condition: Mapping[str, Any], found: Mapping[str, Any], newer: int, now: float) -> bool:
    """Whether all of a condition holds for an object that has so many newer versions."""
    created = _time(found.get("timeCreated"))
    gone, custom = _time(found.get("timeDeleted")), _time(found.get("customTime"))
    held: dict[str, Callable[[Any], bool]] = {
        "age": lambda days: created is not None and now - created >= days * DAY,
        "daysSinceNoncurrentTime": lambda days: gone is not None and now - gone >= days * DAY,
        "daysSinceCustomTime": lambda days: custom is not None and now - custom >= days * DAY,
        "createdBefore": lambda date: created is not None and created < (_date(date) or 0),
        "noncurrentTimeBefore": lambda date: gone is not None and gone < (_date(date) or 0),
        "customTimeBefore": lambda date: custom is not None and custom < (_date(date) or 0),
        "numNewerVersions": lambda number: newer >= number,
        "isLive": lambda live: live == (gone is None),
        "matchesPrefix": lambda some: any(found["name"].startswith(one) for one in some),
        "matchesSuffix": lambda some: any(found["name"].endswith(one) for one in some),
        "matchesStorageClass": lambda some: found["storageClass"] in some,
    }
    return all(held[field](value) for field, value in condition.items())


def _time(text: str | None) -> float | None:
    return datetime.datetime.fromisoformat(text).timestamp() if text else None
