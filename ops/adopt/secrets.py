"""Where something made by hand holds a secret in plain text. Only the place is told, never the value.

Owns the walk through a resource; what looks like a secret, the specs' own law says. An estate is judged more strictly:
a variable whose name speaks of a key is taken for one, since a person can say that it is none and a leak cannot be
taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from spec.checks.environment import SECRET_NAME, SECRET_VALUE

#: Parts of names of variables and headers that hold something secret.
_NAMED: Final = re.compile(r"(secret|password|passwd|token|credential|authorization|dsn)|(^|_)(key|pwd|pat)(_|$)", re.I)
#: Names that only speak of something secret: where it is, how long it lives, which one it is.
_ABOUT: Final = re.compile(r"(name|version|id|file|path|url|ttl|window|expiry|expires|seconds|enabled)$", re.I)


def in_plain(value: Any, at: str = "") -> Iterator[str]:
    """The places in a resource's inputs where a secret stands in plain text."""
    if isinstance(value, Mapping):
        name, text = value.get("name"), value.get("value")
        if isinstance(name, str) and isinstance(text, str) and set(value) == {"name", "value"}:
            if is_secret(name, text):
                yield f"{at}[{name}]" if at else name
            return
        for key, item in value.items():
            place = f"{at}.{key}" if at else str(key)
            if isinstance(item, str) and place.split(".")[-2:-1] == ["headers"] and is_secret(key, item):
                yield place
            else:
                yield from in_plain(item, place)
    elif isinstance(value, str):
        if SECRET_VALUE.search(value):
            yield at
    elif isinstance(value, Sequence):
        for item in value:
            yield from in_plain(item, at)


def is_secret(name: str, value: str) -> bool:
    """Whether a variable or a header holds something secret."""
    if SECRET_VALUE.search(value):
        return True
    named = SECRET_NAME.search(name) or _NAMED.search(name)
    return bool(named and value and not _ABOUT.search(name) and not value.isdigit())
