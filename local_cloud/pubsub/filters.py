"""The filter language of subscriptions: an expression over attributes, read once and asked of every message.

Owns the grammar and what it means; who is asked, and that a message which does not fit counts as acknowledged, is the
backlog's. Source: https://cloud.google.com/pubsub/docs/subscription-message-filter (syntax, escapes, precedence: AND
and OR meet only with parentheses around one of them; `!=` is NOT `=`, so it fits a message without the attribute).
Google's words for a malformed filter are not documented: ours say where it goes wrong.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, NoReturn

from local_cloud.errors import invalid

Predicate = Callable[[Mapping[str, str]], bool]

#: The longest filter.
MAX_BYTES = 256

_SPACE = re.compile(r"\s*")
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NUMBER = {"x": (2, 16), "X": (2, 16), "u": (4, 16), "U": (8, 16)}
_OCTAL = re.compile(r"[0-7]{3}")
_OPERATORS = ("!=", "=", ":", ".", ",", "(", ")", "-")


class _Token(NamedTuple):
    kind: str  # "name", "string", "end", or the operator itself
    text: str
    at: int


@lru_cache(maxsize=1024)
def compiled(text: str) -> Predicate:
    """What a filter asks of a message's attributes; an empty one takes every message."""
    if len(text.encode()) > MAX_BYTES:
        raise invalid(
            f"The filter is too long. You passed {len(text.encode())} bytes in the request, but the maximum is "
            f"{MAX_BYTES} bytes."
        )
    if not text.strip():
        return lambda _attributes: True
    return _Reader(text).read()


class _Reader:
    """One expression on its way from text to a predicate."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._next = self._scan()

    def read(self) -> Predicate:
        """The whole of it."""
        found = self._expression()
        if self._next.kind != "end":
            self._fail("AND, OR or the end")
        return found

    def _expression(self) -> Predicate:
        first = self._term()
        word = self._next.text if self._next.kind == "name" else ""
        if word not in ("AND", "OR"):
            return first
        parts = [first]
        while self._next.kind == "name" and self._next.text in ("AND", "OR"):
            if self._next.text != word:
                raise invalid(
                    f"Invalid filter at position {self._next.at}: to combine AND and OR, put parentheses around one of "
                    "them."
                )
            self._take()
            parts.append(self._term())
        whole = tuple(parts)
        if word == "AND":
            return lambda attributes: all(part(attributes) for part in whole)
        return lambda attributes: any(part(attributes) for part in whole)

    def _term(self) -> Predicate:
        if self._next.kind == "-" or (self._next.kind == "name" and self._next.text == "NOT"):
            self._take()
            denied = self._term()
            return lambda attributes: not denied(attributes)
        if self._next.kind == "(":
            self._take()
            inner = self._expression()
            self._expect(")")
            return inner
        if self._next.kind == "name" and self._next.text == "hasPrefix":
            return self._prefix()
        return self._comparison()

    def _prefix(self) -> Predicate:
        self._take()
        self._expect("(")
        self._expect("name", "attributes")
        self._expect(".")
        key = self._key()
        self._expect(",")
        prefix = self._expect("string").text
        self._expect(")")

        def fits(attributes: Mapping[str, str]) -> bool:
            value = attributes.get(key)
            return value is not None and value.startswith(prefix)

        return fits

    def _comparison(self) -> Predicate:
        self._expect("name", "attributes")
        if self._next.kind == ":":
            self._take()
            name = self._key()
            return lambda attributes: name in attributes
        self._expect(".", said="'.' or ':'")
        key = self._key()
        how = self._next.kind
        if how not in ("=", "!="):
            self._fail("= or !=")
        self._take()
        value = self._expect("string").text
        if how == "=":
            return lambda attributes: attributes.get(key) == value
        return lambda attributes: attributes.get(key) != value

    def _key(self) -> str:
        if self._next.kind not in ("name", "string"):
            self._fail("an attribute's key")
        return self._take().text

    def _expect(self, kind: str, text: str = "", said: str = "") -> _Token:
        if self._next.kind != kind or (text and self._next.text != text):
            names = {"string": 'a string literal such as "value"', "name": f"'{text}'"}
            self._fail(said or names.get(kind, f"'{kind}'"))
        return self._take()

    def _take(self) -> _Token:
        taken = self._next
        # A hyphen belongs to a key that stands after `attributes.`, and denies anything else.
        self._next = self._scan(after_key_mark=taken.kind in (".", ":"))
        return taken

    def _fail(self, wanted: str) -> NoReturn:
        found = f"'{self._text[self._next.at :]}'" if self._next.kind != "end" else "its end"
        raise invalid(f"Invalid filter at position {self._next.at}: {wanted} was expected, not {found}.")

    def _scan(self, *, after_key_mark: bool = False) -> _Token:
        at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches always
        if at == len(self._text):
            self._at = at
            return _Token("end", "", at)
        if self._text[at] == '"':
            return self._string(at)
        if not (after_key_mark and self._text[at] == "-"):
            for operator in _OPERATORS:
                if self._text.startswith(operator, at):
                    self._at = at + len(operator)
                    return _Token(operator, operator, at)
        end = at
        while end < len(self._text) and (self._text[end].isalnum() or self._text[end] in "_-"):
            end += 1
        if end == at:
            raise invalid(f"Invalid filter at position {at}: '{self._text[at]}' means nothing here.")
        self._at = end
        return _Token("name", self._text[at:end], at)

    def _string(self, start: int) -> _Token:
        made: list[str] = []
        at = start + 1
        while at < len(self._text) and self._text[at] != '"':
            if self._text[at] == "\\":
                char, at = self._escape(at + 1)
                made.append(char)
            else:
                made.append(self._text[at])
                at += 1
        if at >= len(self._text):
            raise invalid(f"Invalid filter at position {start}: the string literal has no end.")
        self._at = at + 1
        return _Token("string", "".join(made), start)

    def _escape(self, at: int) -> tuple[str, int]:
        """The character of an escape, whose part after the backslash begins here, and where the text goes on."""
        kind = self._text[at : at + 1]
        if kind in _SIMPLE:
            return _SIMPLE[kind], at + 1
        if octal := _OCTAL.match(self._text, at):
            return chr(int(octal[0], 8)), at + 3
        if kind in _NUMBER:
            length, base = _NUMBER[kind]
            digits = self._text[at + 1 : at + 1 + length]
            if re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", digits) and (number := int(digits, base)) < 0x110000:
                return chr(number), at + 1 + length
        elif kind and kind in "\\\"'?`":
            return kind, at + 1
        raise invalid(f"Invalid filter at position {at - 1}: '\\{kind}' is no escape.")
