"""Pages of lists: sizes within their limits, and tokens that name the place to go on from."""

import base64
from collections.abc import Sequence
from typing import TypeVar

from local_cloud.errors import invalid

T = TypeVar("T")


def page(items: Sequence[T], size: int, token: str, *, default: int, most: int) -> tuple[Sequence[T], str]:
    """One page of a list that keeps its order, and the token of the next page ("" at the end)."""
    if size < 0:
        raise invalid("The page size must not be negative.")
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("at:"))
        except ValueError:
            raise invalid("The page token is invalid.") from None
        if start < 0:
            raise invalid("The page token is invalid.")
    end = start + min(size or default, most)
    following = base64.urlsafe_b64encode(f"at:{end}".encode()).decode() if end < len(items) else ""
    return items[start:end], following
