"""Which objects a list shows: prefix, delimiter, glob, bounds, versions, and pages of all these.

Pure. Source: https://cloud.google.com/storage/docs/json_api/v1/objects/list.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from local_cloud.storage.refusals import invalid

MAX_RESULTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list is asked for."""

    prefix: str = ""
    delimiter: str = ""
    glob: str = ""
    start: str = ""
    end: str = ""
    versions: bool = False
    trailing: bool = False
    most: int = MAX_RESULTS
    after: tuple[str, int] | None = None


def read(query: Mapping[str, str]) -> Wanted:
    """What the query of a request asks for."""
    number = query.get("maxResults", "")
    if number and not number.isdecimal():
        raise invalid(f"Invalid value for query parameter maxResults: {number!r} is no number.")
    return Wanted(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        glob=query.get("matchGlob", ""),
        start=query.get("startOffset", ""),
        end=query.get("endOffset", ""),
        versions=query.get("versions", "").lower() == "true",
        trailing=query.get("includeTrailingDelimiter", "").lower() == "true",
        most=min(int(number or MAX_RESULTS) or MAX_RESULTS, MAX_RESULTS),
        after=_after(query["pageToken"]) if query.get("pageToken") else None,
    )


def _after(token: str) -> tuple[str, int]:
    try:
        name, _, generation = base64.urlsafe_b64decode(token.encode()).decode().rpartition("\n")
        return name, int(generation)
    except (ValueError, binascii.Error):
        raise invalid("Invalid value for query parameter pageToken.") from None


def select(names: Mapping[str, list[dict[str, Any]]], wanted: Wanted) -> tuple[list[dict[str, Any]], list[str], str]:
    """Objects and prefixes of one page, and the token of the next."""
    items: list[dict[str, Any]] = []
    prefixes: list[str] = []
    last: tuple[str, int] = ("", 0)
    for name, generation, found in _in_order(names, wanted):
        prefix = _prefix(name, wanted)
        if prefix and prefixes and prefixes[-1] == prefix:
            last = (name, generation)
            continue
        if len(items) + len(prefixes) >= wanted.most:
            return items, prefixes, base64.urlsafe_b64encode(f"{last[0]}\n{last[1]}".encode()).decode()
        last = (name, generation)
        if prefix:
            if wanted.after is None or _prefix(wanted.after[0], wanted) != prefix:
                prefixes.append(prefix)
            if not (wanted.trailing and name == prefix):
                continue
        items.append(found)
    return items, prefixes, ""


def _in_order(names: Mapping[str, list[dict[str, Any]]], wanted: Wanted) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for name in sorted(names, key=lambda one: one.encode("utf-8", "surrogatepass")):
        if not name.startswith(wanted.prefix) or name < wanted.start or (wanted.end and name >= wanted.end):
            continue
        if wanted.glob and not glob(wanted.glob).fullmatch(name):
            continue
        for found in names[name]:
            generation = int(found["generation"])
            if "timeDeleted" in found and not wanted.versions:
                continue
            if wanted.after is not None and (name, generation) <= wanted.after:
                continue
            yield name, generation, found


def _prefix(name: str, wanted: Wanted) -> str:
    """What a name is folded into, "" where it stands by itself."""
    if not wanted.delimiter:
        return ""
    end = name.find(wanted.delimiter, len(wanted.prefix))
    return name[: end + len(wanted.delimiter)] if end >= 0 else ""


@lru_cache(100)
def glob(pattern: str) -> "re.Pattern[str]":
    """A glob of the API: * and ? stop at a slash, ** does not, and there are [sets] and {alternatives}."""
    made, at, depth = "", 0, 0
    while at < len(pattern):
        one = pattern[at]
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            made, at = f"{made}(?:.*/)?", at + 2
        elif pattern.startswith("**", at):
            made, at = f"{made}.*", at + 1
        elif one == "*":
            made += "[^/]*"
        elif one == "?":
            made += "[^/]"
        elif one == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            made, at = f"{made}[{'^' + inside[1:] if inside[0] in '!^' else inside}]", end
        elif one == "{":
            made, depth = f"{made}(?:", depth + 1
        elif one == "}" and depth:
            made, depth = f"{made})", depth - 1
        elif one == "," and depth:
            made += "|"
        elif one == "\\" and at + 1 < len(pattern):
            at += 1
            made += re.escape(pattern[at])
        else:
            made += re.escape(one)
        at += 1
    try:
        return re.compile(made + ")" * depth, re.DOTALL)
    except re.error:
        raise invalid(f"Invalid glob: {pattern}") from None
