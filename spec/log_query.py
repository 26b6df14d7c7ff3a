"""Whether a query of log lines can be read: Logging's query language, as far as its form goes.

Owns quotes, parentheses, and that operators, AND, OR and NOT have what they join; regular expressions are `patterns`'.
Does not know fields, functions and their arguments, nor whether a value fits its field: Logging alone can say that.

Source: https://cloud.google.com/logging/docs/view/logging-query-language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spec.patterns import NoPattern, pattern

_TOKENS = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<op>=~|!~|!=|>=|<=|=|>|<|:)
      | (?P<mark>[(),])
      | (?P<word>[^\s"'=!<>:(),]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"""\\(["'\\])""")

#: What a parenthesis holds: conditions, values after an operator, or the arguments of a function.
_GROUP, _VALUES, _ARGUMENTS = "group", "values", "arguments"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def flaw(query: str) -> str | None:
    """Say what is wrong with the form of a query, if anything is."""
    try:
        return _Reader().read(query)
    except _Unreadable as unreadable:
        return str(unreadable)


def mixes(query: str) -> bool:
    """Whether AND and OR join conditions between the same parentheses."""
    levels: list[set[str]] = [set()]
    for token in _tokens(query):
        if token.text == "(":
            levels.append(set())
        elif token.text == ")":
            levels = levels[:-1] or [set()]
        elif token.kind == "word" and token.text in ("AND", "OR"):
            levels[-1].add(token.text)
            if len(levels[-1]) == 2:
                return True
    return False


class _Unreadable(ValueError):
    pass


def _tokens(query: str) -> Iterator[_Token]:
    at = 0
    while at < len(query):
        found = _TOKENS.match(query, at)
        if found is None:
            quoted = query[at] in "\"'"
            raise _Unreadable("a quote is never closed" if quoted else f"{query[at]!r} stands alone")
        at = found.end()
        if (kind := found.lastgroup or "") != "space":
            yield _Token(kind, found[0])


class _Reader:
    """Goes through the tokens once; `last` is the one before, and `may_compare` whether it can be compared."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.last: _Token | None = None
        self.may_compare = False

    def read(self, query: str) -> str | None:
        for token in _tokens(query):
            if token.kind == "op":
                self._operator(token)
            elif token.text == "(" and token.kind == "mark":
                self._opens()
            elif token.text == ")" and token.kind == "mark":
                self._closes()
            elif token.kind == "mark":
                self._separates()
            elif token.kind == "word" and token.text in ("AND", "OR"):
                self._needs_before(token.text)
                self.may_compare = False
            else:
                self._word(token)
            self.last = token
        if self.open:
            return "a parenthesis is never closed"
        if self.last is not None and self._wants_more:
            return f"nothing stands after {self.last.text}"
        return None

    @property
    def _wants_more(self) -> bool:
        """Whether something has to follow."""
        last = self.last
        if last is None or last.kind == "op" or last.text in ("(", ","):
            return True
        return last.kind == "word" and last.text in ("AND", "OR", "NOT", "-")

    def _needs_before(self, what: str) -> None:
        if self._wants_more:
            raise _Unreadable(
                f"nothing stands between {self.last.text} and {what}" if self.last else f"nothing stands before {what}"
            )

    def _operator(self, token: _Token) -> None:
        self._needs_before(token.text)
        # A time that is not quoted has colons in it: 2026-01-01T10:00:00Z.
        if not self.may_compare and token.text != ":":
            raise _Unreadable(f"{token.text} compares what cannot be compared")
        self.may_compare = False

    def _opens(self) -> None:
        last = self.last
        if last is not None and last.kind == "op":
            self.open.append(_VALUES)
        elif last is not None and last.kind == "word" and not self._wants_more:
            self.open.append(_ARGUMENTS)
        else:
            self.open.append(_GROUP)
        self.may_compare = False

    def _closes(self) -> None:
        if not self.open:
            raise _Unreadable("a parenthesis is closed that was never opened")
        if self._wants_more and not (self.open[-1] == _ARGUMENTS and self.last == _Token("mark", "(")):
            self._needs_before(")")
        self.may_compare = self.open.pop() == _ARGUMENTS

    def _separates(self) -> None:
        if self.open[-1:] != [_ARGUMENTS]:
            raise _Unreadable("a comma stands outside of a function: values are joined by OR")
        self._needs_before(",")
        self.may_compare = False

    def _word(self, token: _Token) -> None:
        last = self.last
        if last is not None and last.kind == "op":
            if last.text in ("=~", "!~"):
                _check(token.text)
            self.may_compare = False
        else:
            self.may_compare = self.open[-1:] != [_VALUES]


def _check(quoted: str) -> None:
    text = _ESCAPED.sub(r"\1", quoted[1:-1]) if quoted[0] in "\"'" else quoted
    try:
        pattern(text)
    except NoPattern as error:
        raise _Unreadable(f"{quoted} is no regular expression: {error}") from None
