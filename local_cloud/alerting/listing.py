"""Lists of policies, channels and alerts: filters over their fields, and the order that is asked for.

Owns the grammar of https://cloud.google.com/monitoring/api/v3/sorting-and-filtering: comparisons of fields with =, !=,
:, <, >, functions (starts_with, ends_with, has_substring, one_of, monitoring.regex.full_match), NOT and -, OR, AND, and
parentheses. Fields are written in either case: display_name, displayName.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from local_cloud.alerting.words import wrong

Found = Mapping[str, Any]
Test = Callable[[Found], bool]

_TOKENS = re.compile(
    r"""\s*(?:"(?P<text>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<op>!=|>=|<=|=|>|<|:)|(?P<mark>[(),])
      |(?P<word>[^\s"'=!<>:(),]+))""",
    re.VERBOSE,
)
_FUNCTIONS: dict[str, Callable[[str, list[str]], bool]] = {
    "starts_with": lambda value, given: value.startswith(given[0]),
    "ends_with": lambda value, given: value.endswith(given[0]),
    "has_substring": lambda value, given: given[0].casefold() in value.casefold(),
    "one_of": lambda value, given: value in given,
    "monitoring.regex.full_match": lambda value, given: re.fullmatch(given[0], value) is not None,
}


def matching(text: str, field: str = "filter") -> Test:
    """A filter as a test of JSON objects; an empty one lets everything through."""
    return _Parser(text, field).whole() if text.strip() else lambda _: True


def ordered(items: Iterable[Found], order: str, fields: Iterable[str] | None = None) -> list[Found]:
    """Sorted by comma-separated fields, each with a minus before it or `desc` after it where it descends."""
    found = list(items)
    for part in reversed([part.strip() for part in order.split(",") if part.strip()]):
        name, _, direction = part.partition(" ")
        down = name.startswith("-") or direction.strip() == "desc"
        name = name.lstrip("-")
        if direction.strip() not in ("", "asc", "desc") or (fields is not None and _camel(name) not in fields):
            raise wrong("orderBy", order, f"The field {part} cannot be sorted by.")
        found.sort(key=lambda item: tuple(_values(item, name.split("."))), reverse=down)
    return found


class _Parser:
    def __init__(self, text: str, field: str) -> None:
        self.text, self.field = text, field
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKENS.match(text, at)
            if match is None:
                self.fail(text[at:].strip()[0])
            kind = match.lastgroup or ""
            if kind in ("text", "single"):
                self.tokens.append(("text", re.sub(r"\\(.)", r"\1", match[kind])))
            else:
                self.tokens.append((match[kind] if kind == "mark" else kind, match[kind]))
            at = match.end()
        self.tokens.append(("end", ""))

    def fail(self, what: str) -> NoReturn:
        raise wrong(self.field, self.text, f"Unparseable filter: syntax error at {what or 'the end'!r}.")

    def take(self) -> tuple[str, str]:
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    def whole(self) -> Test:
        made = self.conjunction()
        if self.tokens[0][0] != "end":
            self.fail(self.tokens[0][1])
        return made

    def conjunction(self) -> Test:
        parts = [self.disjunction()]
        while self.tokens[0][0] not in ("end", ")"):
            if self.tokens[0] == ("word", "AND"):
                self.take()
            parts.append(self.disjunction())
        return lambda found: all(part(found) for part in parts)

    def disjunction(self) -> Test:
        parts = [self.negation()]
        while self.tokens[0] == ("word", "OR"):
            self.take()
            parts.append(self.negation())
        return lambda found: any(part(found) for part in parts)

    def negation(self) -> Test:
        kind, text = self.tokens[0]
        if kind == "word" and (text == "NOT" or text.startswith("-")):
            self.take()
            if text not in ("NOT", "-"):
                self.tokens.insert(0, ("word", text[1:]))
            inner = self.negation()
            return lambda found: not inner(found)
        if kind == "(":
            self.take()
            made = self.conjunction()
            if self.take()[0] != ")":
                self.fail("(")
            return made
        return self.comparison()

    def comparison(self) -> Test:
        kind, name = self.take()
        if kind != "word":
            self.fail(name)
        path = name.split(".")
        while name.endswith(".") and self.tokens[0][0] == "text":
            path[-1:] = [self.take()[1]]
            name = ""
        kind, operator = self.take()
        if kind != "op":
            self.fail(operator)
        kind, wanted = self.take()
        if kind not in ("word", "text"):
            self.fail(wanted)
        if kind == "word" and self.tokens[0][0] == "(":
            return self.function(path, operator, wanted)
        if operator == "!=":
            return lambda found: not _any(found, path, "=", wanted)
        return lambda found: _any(found, path, operator, wanted)

    def function(self, path: list[str], operator: str, name: str) -> Test:
        self.take()
        given: list[str] = []
        while self.tokens[0][0] != ")":
            kind, text = self.take()
            if kind not in ("word", "text"):
                self.fail(text)
            given.append(text)
            if self.tokens[0][0] == ",":
                self.take()
        self.take()
        function = _FUNCTIONS.get(name)
        if function is None or not given or operator not in ("=", "!="):
            self.fail(name)
        if name.startswith("monitoring.regex"):
            try:
                re.compile(given[0])
            except re.error:
                self.fail(given[0])
        holds = operator == "="
        return lambda found: any(function(value, given) for value in _values(found, path)) == holds


def _any(found: Found, path: list[str], operator: str, wanted: str) -> bool:
    values = _values(found, path)
    if operator == ":":
        return bool(values) if wanted == "*" else any(wanted.casefold() in value.casefold() for value in values)
    if operator == "=":
        return any(value == wanted for value in values)
    return any(_holds(value, operator, wanted) for value in values)


def _holds(value: str, operator: str, wanted: str) -> bool:
    left: Any = value
    right: Any = wanted
    with contextlib.suppress(ValueError):
        left, right = float(value), float(wanted)
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def _values(found: Any, path: list[str]) -> list[str]:
    """All values at a path, as texts; lists are looked into, and the keys of a map are values of it."""
    if isinstance(found, list):
        return [value for one in found for value in _values(one, path)]
    if not path:
        if isinstance(found, Mapping):
            return list(found)
        return [] if found is None else [str(found).lower() if isinstance(found, bool) else str(found)]
    if not isinstance(found, Mapping):
        return []
    name, rest = path[0], path[1:]
    return _values(found.get(name, found.get(_camel(name))), rest)


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)
