"""The difference of two sets of properties, by path; and whether the cloud's answer still holds what was declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .model import Change
from .values import Secret, Unknown

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)s$")


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Every property that differs, deepest path first known."""
    yield from _objects("", old, new)


def _objects(at: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in [*new, *(name for name in old if name not in new)]:
        path = f"{at}.{name}" if at else name
        if name not in old:
            yield Change(path=path, kind="add", new=new[name])
        elif name not in new:
            yield Change(path=path, kind="delete", old=old[name])
        else:
            yield from _values(path, old[name], new[name])


def _values(path: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, Secret) or isinstance(new, Secret):
        inner_old = old.value if isinstance(old, Secret) else old
        inner_new = new.value if isinstance(new, Secret) else new
        if inner_old != inner_new:
            yield Change(path=path, kind="update", old=Secret(inner_old), new=Secret(inner_new))
    elif isinstance(new, Unknown):
        yield Change(path=path, kind="update", old=old, new=new)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _objects(path, old, new)
    elif _is_list(old) and _is_list(new):
        yield from _lists(path, old, new)
    elif old != new:
        yield Change(path=path, kind="update", old=old, new=new)


def _lists(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    old_names, new_names = _names(old), _names(new)
    if old_names and new_names:
        # Lists of named things (environment, flags) are compared by name, or one insertion would touch all that follow.
        old_map, new_map = dict(zip(old_names, old, strict=True)), dict(zip(new_names, new, strict=True))
        if old_names != new_names and set(old_map) == set(new_map):
            yield Change(path=path, kind="update", old=old_names, new=new_names)
        for name in [*new_map, *(name for name in old_map if name not in new_map)]:
            at = f"{path}[{name}]"
            if name not in old_map:
                yield Change(path=at, kind="add", new=new_map[name])
            elif name not in new_map:
                yield Change(path=at, kind="delete", old=old_map[name])
            else:
                yield from _values(at, old_map[name], new_map[name])
        return
    for index in range(max(len(old), len(new))):
        at = f"{path}[{index}]"
        if index >= len(old):
            yield Change(path=at, kind="add", new=new[index])
        elif index >= len(new):
            yield Change(path=at, kind="delete", old=old[index])
        else:
            yield from _values(at, old[index], new[index])


def _names(items: Sequence[Any]) -> list[str]:
    """The items' names, where every item has a distinct one."""
    found = [item.get("name") for item in items if isinstance(item, Mapping)]
    return [str(name) for name in found] if len(set(found)) == len(items) and None not in found else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def drift(declared: Any, live: Any, at: str = "") -> Iterator[Change]:
    """Where the cloud's answer lacks or contradicts what was sent; what the cloud adds is its own business."""
    if isinstance(declared, Mapping) and isinstance(live, Mapping | None):
        for name, value in declared.items():
            yield from drift(value, (live or {}).get(name), f"{at}.{name}" if at else name)
    elif _is_list(declared) and isinstance(live, list | None):
        found = live or []
        if len(declared) != len(found):
            yield Change(path=at, kind="update", old=found, new=declared, drift=True)
            return
        for index, value in enumerate(declared):
            yield from drift(value, found[index], f"{at}[{index}]")
    elif not _alike(declared, live):
        yield Change(path=at, kind="update", old=live, new=declared, drift=True)


def _alike(declared: Any, live: Any) -> bool:
    if declared == live or (declared in (None, False, 0, "") and live in (None, False, 0, "")):
        return True
    if isinstance(declared, int | float) and isinstance(live, str):
        return str(declared) == live  # int64 travels as text
    if isinstance(declared, str) and isinstance(live, str):
        if declared.startswith("projects/") and live.startswith("https://") and live.endswith(f"/{declared}"):
            return True  # a link in full and in part
        mine, theirs = _DURATION.match(declared), _DURATION.match(live)
        return bool(mine and theirs) and float(mine[1]) == float(theirs[1])  # type: ignore[index]
    return False
