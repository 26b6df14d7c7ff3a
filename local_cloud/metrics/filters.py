"""The filter language of Cloud Monitoring: text to a predicate over series, with what it asks for by name.

Owns the grammar (comparisons, NOT and -, OR before AND, juxtaposition as AND, the functions), what may be joined by OR,
and the words for what cannot be read. Whether the metric and the labels exist is query.py's.
Source: https://cloud.google.com/monitoring/api/v3/filters.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

Matcher = Callable[[str], bool]
#: What a filter is held against: selectors such as ("metric.labels", "response_code") with their values.
Subject = Mapping[tuple[str, str], str]
Predicate = Callable[[Subject], bool]

_TOKENS = re.compile(
    r"""(?P<space>\s+)
      | "(?P<text>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
      | (?P<op>!=|>=|<=|=~|!~|=|>|<|:)
      | (?P<mark>[(),])
      | (?P<word>[^\s"'=!<>:(),]+)""",
    re.VERBOSE,
)
_GROUPS = {
    "metric.label": "metric.labels", "metric.labels": "metric.labels", "resource.label": "resource.labels",
    "resource.labels": "resource.labels", "metadata.user_labels": "metadata.user_labels",
    "metadata.system_labels": "metadata.system_labels",
}  # fmt: skip
_WHOLE = ("metric.type", "resource.type", "project", "group.id")
_FUNCTIONS: dict[str, Callable[[list[str]], Matcher]] = {
    "starts_with": lambda given: lambda value: value.startswith(given[0]),
    "ends_with": lambda given: lambda value: value.endswith(given[0]),
    "has_substring": lambda given: lambda value: given[0] in value,
    "one_of": lambda given: lambda value: value in given,
    "monitoring.regex.full_match": lambda given: lambda value: re.fullmatch(given[0], value) is not None,
}


class FilterError(ValueError):
    """The filter cannot be used; the text says why, for `Field filter had an invalid value of "...": ...`."""


@dataclass
class Filter:
    """A predicate, and what the text names."""

    text: str
    matches: Predicate = lambda _: True
    #: Values that a selector must have, as `metric.type = "x"` at the top says.
    wanted: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    named: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class _Token:
    kind: str  # "text", "word", "op", "(", ")", ",", "end"
    text: str
    at: int


@dataclass
class _Node:
    """A part of a filter: the groups of selectors below it, how those are joined, and what must hold for it."""

    matches: Predicate
    groups: set[str]
    joined: dict[str, set[str]] = field(default_factory=dict)
    wanted: list[tuple[tuple[str, str], str]] = field(default_factory=list)


def parse(text: str) -> Filter:
    """Read a filter; an empty one matches everything."""
    made = Filter(text)
    if not text.strip():
        return made
    parser = _Parser(text, made)
    node = parser.conjunction()
    if parser.token.kind != "end":
        parser.fail()
    made.matches = node.matches
    for selector, value in node.wanted:
        made.wanted.setdefault(selector, []).append(value)
    return made


class _Parser:
    def __init__(self, text: str, made: Filter) -> None:
        self.text, self.made, self.position = text, made, 0
        self.tokens: list[_Token] = []
        at = 0
        while at < len(text):
            match = _TOKENS.match(text, at)
            if match is None:
                self.fail(_Token("", text[at], at))
            kind = match.lastgroup or ""
            if kind in ("text", "single"):
                self.tokens.append(_Token("text", re.sub(r"\\(.)", r"\1", match[kind], flags=re.DOTALL), at))
            elif kind != "space":
                self.tokens.append(_Token(match[0] if kind == "mark" else kind, match[0], at))
            at = match.end()
        self.tokens.append(_Token("end", "", len(text)))

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.token
        self.position += token.kind != "end"
        return token

    def fail(self, token: _Token | None = None) -> NoReturn:
        token = token or self.token
        before = self.text[: token.at]
        line, column = before.count("\n") + 1, token.at - (before.rfind("\n") + 1) + 1
        what = f"token '{token.text}'" if token.kind != "end" else "the end of the filter"
        raise FilterError(f"Unparseable filter: syntax error at line {line}, column {column}, {what}.")

    def keyword(self, word: str) -> bool:
        return self.token.kind == "word" and self.token.text == word

    def conjunction(self) -> _Node:
        parts = [self.disjunction()]
        while self.token.kind not in ("end", ")"):
            if self.keyword("AND"):
                self.take()
            parts.append(self.disjunction())
        return parts[0] if len(parts) == 1 else self.join(parts, "AND")

    def disjunction(self) -> _Node:
        parts = [self.negation()]
        while self.keyword("OR"):
            self.take()
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else self.join(parts, "OR")

    def negation(self) -> _Node:
        minus = self.token.kind == "word" and self.token.text.startswith("-")
        if self.keyword("NOT") or minus:
            token = self.take()
            if minus and len(token.text) > 1:
                self.position -= 1
                self.tokens[self.position] = _Token("word", token.text[1:], token.at + 1)
            inner = self.negation()
            return _Node(lambda subject: not inner.matches(subject), inner.groups, inner.joined)
        if self.token.kind == "(":
            self.take()
            inner = self.conjunction()
            if self.token.kind != ")":
                self.fail()
            self.take()
            return inner
        return self.comparison()

    def join(self, parts: list[_Node], word: str) -> _Node:
        """Several parts as one. Google takes OR only within one group of selectors, and not beside AND in it."""
        groups = set().union(*(part.groups for part in parts))
        joined: dict[str, set[str]] = {}
        for part in parts:
            for group, words in part.joined.items():
                joined.setdefault(group, set()).update(words)
        for group in groups:
            if sum(group in part.groups for part in parts) > 1:
                joined.setdefault(group, set()).add(word)
            if len(joined.get(group, ())) > 1:
                raise FilterError(f"AND and OR cannot be mixed for '{group}' restrictions.")
        if word == "OR" and len(groups) > 1:
            named = " and ".join(f"'{group}'" for group in sorted(groups))
            raise FilterError(f"OR cannot join restrictions of {named}.")
        tests = [part.matches for part in parts]
        if word == "AND":
            wanted = [one for part in parts for one in part.wanted]
            return _Node(lambda subject: all(test(subject) for test in tests), groups, joined, wanted)
        return _Node(lambda subject: any(test(subject) for test in tests), groups, joined)

    def comparison(self) -> _Node:
        selector = self.selector()
        if self.token.kind != "op":
            self.fail()
        operator = self.take()
        if operator.text in ("=~", "!~"):
            self.fail(operator)
        token = self.take()
        if token.kind not in ("word", "text"):
            self.fail(token)
        self.made.named.add(selector)
        wanted: list[tuple[tuple[str, str], str]] = []
        if token.kind == "word" and self.token.kind == "(":
            matcher = self.function(token)
            if operator.text not in ("=", "!="):
                raise FilterError(f"The function '{token.text}' can be used with = and != only.")
        else:
            matcher = _comparer("=" if operator.text == "!=" else operator.text, token.text)
            if operator.text == "=":
                wanted = [(selector, token.text)]
        holds = operator.text != "!="
        return _Node(lambda subject: matcher(subject.get(selector, "")) == holds, {selector[0]}, wanted=wanted)

    def selector(self) -> tuple[str, str]:
        token = self.take()
        if token.kind != "word":
            self.fail(token)
        if token.text in _WHOLE:
            return token.text, ""
        name, quoted = token.text, self.token.kind == "text" and token.text.endswith(".")
        group, _, label = name.rpartition(".") if not quoted else (name[:-1], "", self.take().text)
        if group not in _GROUPS or not label:
            raise FilterError(
                f"Unknown selector '{name}': metric.type, metric.labels.KEY, resource.type, resource.labels.KEY, "
                "metadata.user_labels.KEY, metadata.system_labels.KEY, project and group.id are known."
            )
        return _GROUPS[group], label

    def function(self, name: _Token) -> Matcher:
        self.take()
        given: list[str] = []
        while self.token.kind != ")":
            token = self.take()
            if token.kind not in ("text", "word"):
                self.fail(token)
            given.append(token.text)
            if self.token.kind == ",":
                self.take()
        self.take()
        make = _FUNCTIONS.get(name.text)
        if make is None or not given or (len(given) > 1 and name.text != "one_of"):
            known = ", ".join(sorted(_FUNCTIONS))
            raise FilterError(f"Unknown function '{name.text}' with {len(given)} arguments: {known} are known.")
        if name.text.startswith("monitoring.regex"):
            try:
                re.compile(given[0])
            except re.error as error:
                raise FilterError(f"Invalid regular expression '{given[0]}': {error}.") from None
        return make(given)


def _comparer(operator: str, wanted: str) -> Matcher:
    if operator == "=":
        return lambda value: value == wanted
    if operator == ":":
        return lambda value: wanted in value
    return lambda value: _ordered(operator, value, wanted)


def _ordered(operator: str, value: str, wanted: str) -> bool:
    """By number where both are numbers, by text otherwise; a label that is not there is in no order."""
    if not value:
        return False
    left: float | str
    right: float | str
    try:
        left, right = float(value), float(wanted)
    except ValueError:
        left, right = value, wanted
    before, same = left < right, left == right  # type: ignore[operator]
    return {"<": before, "<=": before or same, ">": not before and not same, ">=": not before}[operator]
