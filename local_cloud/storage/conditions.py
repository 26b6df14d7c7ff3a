"""Preconditions of requests: on generation and metageneration of an object or a bucket.

Pure. Source: https://cloud.google.com/storage/docs/request-preconditions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.storage.refusals import invalid, not_modified, unmet

_FIELDS = {
    "generation_is": "GenerationMatch",
    "generation_is_not": "GenerationNotMatch",
    "metageneration_is": "MetagenerationMatch",
    "metageneration_is_not": "MetagenerationNotMatch",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must hold. Generation 0 is that of an object that is not there."""

    generation_is: int | None = None
    generation_is_not: int | None = None
    metageneration_is: int | None = None
    metageneration_is_not: int | None = None

    def check(self, found: Mapping[str, Any] | None, *, reading: bool = False) -> None:
        """Refuse unless they hold for what is there; None is nothing."""
        generation = int(found["generation"]) if found else 0
        metageneration = int(found["metageneration"]) if found else 0
        if self.generation_is is not None and self.generation_is != generation:
            raise unmet()
        if self.metageneration_is is not None and self.metageneration_is != metageneration:
            raise unmet()
        same = self.generation_is_not == generation or (
            found is not None and self.metageneration_is_not == metageneration
        )
        if same:
            raise not_modified() if reading else unmet("If-None-Match")


#: Nothing is asked.
ANY = Conditions()


def read(query: Mapping[str, str], prefix: str = "if") -> Conditions:
    """The preconditions of a request's query; those on the source of a copy have another prefix."""
    found: dict[str, int] = {}
    for field, name in _FIELDS.items():
        key = f"{prefix}{name}"
        if key in query:
            if not query[key].isdecimal():
                raise invalid(f"Invalid value for query parameter {key}: {query[key]!r} is no number.")
            found[field] = int(query[key])
    return Conditions(**found)
