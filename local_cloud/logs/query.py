"""The Logging query language: text to a predicate over log entries.

Owns the grammar: comparisons, NOT / - , OR before AND (Logging's own order), juxtaposition as AND, value lists,
searches without a field, log_id() and SEARCH(). Comparing values is compare.py's. Functions that look outside an entry
(ip_in_net, sample, source) are refused by name rather than ignored.
Source: https://cloud.google.com/logging/docs/view/logging-query-language.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from local_cloud.logs.compare import Entry, holds, nanoseconds, texts, values

Predicate = Callable[[Entry], bool]


class QueryError(ValueError):
    """The query cannot be read; the text says where."""


@dataclass(frozen=True)
class Query:
    """A predicate, and the times (nanoseconds) that whatever matches must lie between."""

    matches: Predicate
    since: int = 0
    until: int = 2**63


@dataclass(frozen=True)
class _Token:
    kind: str  # "text" (quoted), "word", "op", "(", ")", ",", "end"
    text: str
    at: int


_TOKENS = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | "(?P<text>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
      | (?P<op>=~|!~|!=|>=|<=|=|>|<|:)
      | (?P<mark>[(),])
      | (?P<word>[^\s"'=!<>:(),]+)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse(text: str) -> Query:
    """Read a query; an empty one matches everything. Raises QueryError."""
    if not text.strip():
        return Query(lambda _: True)
    parser = _Parser(_tokens(text))
    matches = parser.conjunction()
    parser.expect("end")
    return Query(matches, parser.since, parser.until)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise QueryError(f"unexpected character {text[at]!r} at {at}")
        kind = match.lastgroup or ""
        raw = match[kind]
        if kind in ("text", "single"):
            found.append(_Token("text", re.sub(r"\\(.)", _unescape, raw, flags=re.DOTALL), at))
        elif kind == "mark":
            found.append(_Token(raw, raw, at))
        elif kind != "space":
            found.append(_Token(kind, raw, at))
        at = match.end()
    return [*found, _Token("end", "", at)]


def _unescape(match: re.Match[str]) -> str:
    character = match[1]
    if character in _ESCAPES:
        return _ESCAPES[character]
    # A backslash that escapes nothing of ours belongs to a regular expression.
    return character if character in "\"'\\" else "\\" + character


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.position = tokens, 0
        #: Narrowed by comparisons of the timestamp that must hold; those below a NOT or an OR are taken back.
        self.since, self.until = 0, 2**63

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.token
        self.position += token.kind != "end"
        return token

    def expect(self, kind: str) -> _Token:
        if self.token.kind != kind:
            what = self.token.text or "the end of the filter"
            raise QueryError(f"unexpected {what!r} at {self.token.at}, {kind!r} expected")
        return self.take()

    def keyword(self, *words: str) -> bool:
        return self.token.kind == "word" and self.token.text in words

    def conjunction(self) -> Predicate:
        parts = [self.disjunction()]
        while self.token.kind not in ("end", ")"):
            if self.keyword("AND"):
                self.take()
            parts.append(self.disjunction())
        return parts[0] if len(parts) == 1 else lambda entry: all(part(entry) for part in parts)

    def disjunction(self) -> Predicate:
        bounds = self.since, self.until
        parts = [self.negation()]
        while self.keyword("OR"):
            self.take()
            parts.append(self.negation())
        if len(parts) > 1:
            self.since, self.until = bounds
            return lambda entry: any(part(entry) for part in parts)
        return parts[0]

    def negation(self) -> Predicate:
        if self.keyword("NOT"):
            self.take()
            return self.inverted()
        if self.token.kind == "word" and self.token.text.startswith("-") and not _number(self.token.text):
            token = self.token
            rest = token.text[1:]
            if rest:
                self.tokens[self.position] = _Token("word", rest, token.at + 1)
            else:
                self.take()
            return self.inverted()
        return self.primary()

    def inverted(self) -> Predicate:
        bounds = self.since, self.until
        inner = self.negation()
        self.since, self.until = bounds
        return lambda entry: not inner(entry)

    def primary(self) -> Predicate:
        if self.token.kind == "(":
            self.take()
            inner = self.conjunction()
            self.expect(")")
            return inner
        token = self.take()
        if token.kind not in ("word", "text"):
            raise QueryError(f"unexpected {token.text or 'end of the filter'!r} at {token.at}")
        if token.kind == "word" and self.token.kind == "(" and not token.text.endswith("."):
            return self.function(token)
        name = token.text
        path = [] if token.kind == "text" else [part for part in name.split(".") if part]
        while self.token.kind == "text" and name.endswith(".") and token.kind == "word":
            path.append(self.take().text)
            if self.token.kind == "word" and self.token.text.startswith("."):
                name = self.take().text
                path.extend(part for part in name.split(".") if part)
            else:
                name = ""
        if self.token.kind == "op":
            path = path or [token.text]
            return self.comparison(path, self.take().text)
        wanted = token.text.casefold()
        return lambda entry: any(wanted in text.casefold() for text in texts(entry))

    def comparison(self, path: Sequence[str], operator: str) -> Predicate:
        if self.token.kind == "(":
            self.take()
            inner = self.value_list(path, operator)
            self.expect(")")
            return inner
        token = self.take()
        if token.kind not in ("word", "text"):
            raise QueryError(f"a value is missing after {operator!r} at {token.at}")
        wanted = token.text
        while self.token.kind == "op" and self.token.text == ":" and token.kind == "word":
            self.take()  # an unquoted time
            wanted += ":" + self.take().text
        if operator in ("=~", "!~"):
            try:
                re.compile(wanted)
            except re.error as error:
                raise QueryError(f"regular expression {wanted!r}: {error}") from None
        self.bound(path, operator, wanted)
        return lambda entry: any(holds(path, field, operator, wanted) for field in values(entry, path))

    def value_list(self, path: Sequence[str], operator: str) -> Predicate:
        """`field = ("a" OR "b")`: the operator is distributed over the values."""
        bounds = self.since, self.until
        groups = [[self.comparison(path, operator)]]
        while self.token.kind != ")":
            if self.keyword("OR"):
                self.take()
                groups[-1].append(self.comparison(path, operator))
            else:
                if self.keyword("AND"):
                    self.take()
                groups.append([self.comparison(path, operator)])
        self.since, self.until = bounds
        return lambda entry: all(any(part(entry) for part in group) for group in groups)

    def bound(self, path: Sequence[str], operator: str, wanted: str) -> None:
        if list(path) == ["timestamp"] and (moment := nanoseconds(wanted)) is not None:
            if operator in (">", ">=", "="):
                self.since = max(self.since, moment)
            if operator in ("<", "<=", "="):
                self.until = min(self.until, moment)

    def function(self, name: _Token) -> Predicate:
        self.expect("(")
        arguments: list[_Token] = []
        while self.token.kind != ")":
            if self.token.kind == "end":
                raise QueryError(f"{name.text}( is not closed")
            if self.token.kind == ",":
                self.take()
            else:
                arguments.append(self.take())
        self.expect(")")
        given = [argument.text for argument in arguments]
        match name.text, given:
            case "log_id", [wanted]:
                return lambda entry: unquote(str(entry.get("logName", "")).rpartition("/logs/")[2]) == unquote(wanted)
            case "SEARCH", [wanted]:
                words = wanted.casefold().split()
                return lambda entry: all(any(w in text.casefold() for text in texts(entry)) for w in words)
            case "SEARCH", [field, wanted]:
                path, words = field.split("."), wanted.casefold().split()
                return lambda entry: all(
                    any(w in text.casefold() for found in values(entry, path) for text in texts(found)) for w in words
                )
        raise QueryError(f"the function {name.text!r} with {len(given)} arguments is not there in the local cloud")


def _number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?", text))
