"""Filters of requests and resources: read once, refused in Google's words."""

from functools import lru_cache

from local_cloud.errors import invalid
from local_cloud.logs.query import Query, QueryError, parse


def query(text: str) -> Query:
    """The query of a filter; INVALID_ARGUMENT where it cannot be read."""
    try:
        return _parsed(text)
    except QueryError as error:
        # A field that is not there is named as it is; all else is a filter that cannot be parsed.
        said = str(error)
        raise invalid(said if said.startswith("Field not found") else f"Unparseable filter: {said}") from None


@lru_cache(maxsize=256)
def _parsed(text: str) -> Query:
    return parse(text)
