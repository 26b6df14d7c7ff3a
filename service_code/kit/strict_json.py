"""JSON from strangers: read strictly, exactly where asked, and never so deep that the reader breaks.

The standard reader recurses, and a body of brackets alone can exhaust the stack of the process; a count of openings is
a bound of the depth. NaN and Infinity, which are no JSON, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

#: No message or answer that we read has nearly as many objects and lists.
MOST_OPENINGS = 2_000


def loads(
    body: bytes | str,
    *,
    parse_float: Callable[[str], Any] | None = None,
    parse_number: Callable[[str], Any] | None = None,
    most: int = MOST_OPENINGS,
) -> Any:
    """Read JSON or raise ValueError; `parse_number` gets every number's text, `parse_float` of those with a point."""
    text = body.decode() if isinstance(body, bytes) else body
    if text.count("[") + text.count("{") > most:
        raise ValueError("too many objects and lists")
    try:
        return json.loads(
            text, parse_float=parse_number or parse_float, parse_int=parse_number or int, parse_constant=_refuse
        )
    except RecursionError as error:
        raise ValueError("too deep") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
