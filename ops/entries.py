"""Cloud Logging's entries as they are asked for: what is wished, and one answer after the other.

Leaves who asks, and where, to `place` and `cloud`. Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/
entries/list: an answer may be empty and still not be the last, and the order is by time, the oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

#: Entries in one answer at most.
PAGE: Final = 1000


def wish(project: str, filter_: str, *, newest_first: bool = False, size: int = PAGE) -> dict[str, Any]:
    """The body of one question: a filter is of Cloud Logging's query language."""
    return {
        "resourceNames": [f"projects/{project}"],
        "filter": filter_,
        "orderBy": "timestamp desc" if newest_first else "timestamp asc",
        "pageSize": size,
    }


def read(
    ask: Callable[[dict[str, Any]], Any], project: str, filter_: str, *, newest_first: bool = False, limit: int = 0
) -> Iterator[dict[str, Any]]:
    """Those that match; all of them unless there is a limit."""
    token, given = "", 0
    while True:
        size = min(PAGE, limit - given) if limit else PAGE
        body = wish(project, filter_, newest_first=newest_first, size=size)
        answer = ask({**body, **({"pageToken": token} if token else {})})
        entries = answer.get("entries", [])
        yield from entries
        given += len(entries)
        token = str(answer.get("nextPageToken", ""))
        if not token or (limit and given >= limit):
            return
