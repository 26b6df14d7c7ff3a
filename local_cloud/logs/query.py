"""The Logging query language: text to a predicate over log entries.

Owns the grammar: comparisons, NOT / - , OR before AND (Logging's own order), juxtaposition as AND, value lists and
searches without a field; and what can be said of all entries that match: a span of time, and what their resource type
and log name must be (`pinned`), by which many queries can be kept apart cheaply. Comparing values is compare.py's,
fields are fields.py's, functions are functions.py's.
Source: https://cloud.google.com/logging/docs/view/logging-query-language.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from local_cloud.logs import fields, functions
from local_cloud.logs.compare import NULL, Check, ConversionError, Entry, nanoseconds, relation, texts
from local_cloud.logs.fields import Field, FieldError
from local_cloud.logs.patterns import PatternError

Predicate = Callable[[Entry], bool]
FieldOf = Callable[[Sequence[str]], Field]

#: A filter may have so many characters (quotas page of Logging), and nest so deep (ours).
MAX_LENGTH, MAX_DEPTH = 20_000, 100
#: The end of time, in nanoseconds.
FOREVER = 2**63
#: Fields that are pinned by `=`.
_PINNED = {("resource", "type"): "resource.type", ("logName",): "logName"}
_ORDERED = frozenset({"=", ">", ">=", "<", "<="})


class QueryError(ValueError):
    """The query cannot be read; the text says why, for `Unparseable filter: ...`."""


@dataclass(frozen=True)
class Query:
    """A predicate, the times (nanoseconds) that whatever matches must lie between, and values that it must have."""

    matches: Predicate
    since: int = 0
    until: int = FOREVER
    #: "resource.type", "logName" and "log_id", in lower case, where the query names all that are possible.
    pinned: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def may_match(self, resource: str, log: str) -> bool:
        """Whether an entry of such a resource type in such a log can match at all."""
        if not self.pinned:
            return True
        have = {"resource.type": resource.casefold(), "logName": log.casefold(), "log_id": functions.log_id(log)}
        return all(have[name] in values for name, values in self.pinned.items())


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
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}


def parse(text: str, field_of: FieldOf = fields.field) -> Query:
    """Read a query; an empty one matches everything. Raises QueryError. `fields.free` is for what is no log entry."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the filter is {len(text)} characters long, the limit is {MAX_LENGTH}")
    parser = _Parser(text, field_of)
    if parser.token.kind == "end":
        return Query(lambda _: True)
    found = parser.conjunction()
    if parser.token.kind != "end":
        parser.fail()
    return found


def _unescape(match: re.Match[str]) -> str:
    given = match[1]
    if len(given) > 1:
        return chr(int(given[1:], 16))
    # A backslash that escapes nothing of ours belongs to a regular expression.
    return _ESCAPES.get(given, match[0])


def _all(parts: list[Query]) -> Query:
    if len(parts) == 1:
        return parts[0]
    checks = tuple(part.matches for part in parts)
    pinned: dict[str, frozenset[str]] = {}
    for part in parts:
        for name, values in part.pinned.items():
            pinned[name] = pinned[name] & values if name in pinned else values

    def matches(entry: Entry) -> bool:
        for check in checks:  # noqa: SIM110 - a generator would cost as much as the checks
            if not check(entry):
                return False
        return True

    return Query(matches, max(part.since for part in parts), min(part.until for part in parts), pinned)


def _any(parts: list[Query]) -> Query:
    if len(parts) == 1:
        return parts[0]
    checks = tuple(part.matches for part in parts)
    shared = set.intersection(*(set(part.pinned) for part in parts))
    pinned = {name: frozenset().union(*(part.pinned[name] for part in parts)) for name in shared}

    def matches(entry: Entry) -> bool:
        for check in checks:  # noqa: SIM110 - as above
            if check(entry):
                return True
        return False

    return Query(matches, min(part.since for part in parts), max(part.until for part in parts), pinned)


def _not(part: Query) -> Query:
    inner = part.matches
    return Query(lambda entry: not inner(entry))


class _Parser:
    def __init__(self, text: str, field_of: FieldOf) -> None:
        self.text, self.field_of = text, field_of
        self.position = self.depth = 0
        self.tokens: list[_Token] = []
        at = 0
        while at < len(text):
            match = _TOKENS.match(text, at)
            if match is None:
                self.fail(_Token("", text[at], at))
            kind = match.lastgroup or ""
            if kind in ("text", "single"):
                self.tokens.append(_Token("text", _ESCAPE.sub(_unescape, match[kind]), at))
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

    def expect(self, kind: str) -> _Token:
        if self.token.kind != kind:
            self.fail()
        return self.take()

    def fail(self, token: _Token | None = None) -> NoReturn:
        token = token or self.token
        before = self.text[: token.at]
        line, column = before.count("\n") + 1, token.at - (before.rfind("\n") + 1) + 1
        what = f"token '{token.text}'" if token.kind != "end" else "token 'EOF'"
        raise QueryError(f"syntax error at line {line}, column {column}, {what}")

    def keyword(self, *words: str) -> bool:
        return self.token.kind == "word" and self.token.text in words

    def conjunction(self) -> Query:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError("the filter is nested too deeply")
        parts = [self.disjunction()]
        while self.token.kind not in ("end", ")"):
            if self.keyword("AND"):
                self.take()
            parts.append(self.disjunction())
        self.depth -= 1
        return _all(parts)

    def disjunction(self) -> Query:
        parts = [self.negation()]
        while self.keyword("OR"):
            self.take()
            parts.append(self.negation())
        return _any(parts)

    def minus(self) -> bool:
        """Takes NOT, or the minus sign before what follows it."""
        token = self.token
        if self.keyword("NOT"):
            self.take()
            return True
        if token.kind != "word" or not token.text.startswith("-") or re.fullmatch(r"-\d+(\.\d+)?", token.text):
            return False
        if len(token.text) > 1:
            self.tokens[self.position] = _Token("word", token.text[1:], token.at + 1)
        else:
            self.take()
        return True

    def negation(self) -> Query:
        inverted = False
        while self.minus():
            inverted = not inverted
        found = self.primary()
        return _not(found) if inverted else found

    def primary(self) -> Query:
        if self.token.kind == "(":
            self.take()
            inner = self.conjunction()
            self.expect(")")
            return inner
        token = self.take()
        if token.kind not in ("word", "text") or (token.text in ("AND", "OR") and token.kind == "word"):
            self.fail(token)
        if token.kind == "word" and self.token.kind == "(" and not token.text.endswith("."):
            return self.function(token)
        path = self.path(token)
        if self.token.kind == "op":
            return self.comparison(self.known(path), self.take().text)
        if len(path) > 1 and self.tokens[self.position - 1].kind == "text":
            self.fail(token)
        wanted = token.text.casefold()
        return Query(lambda entry: any(wanted in text.casefold() for text in texts(entry)))

    def path(self, token: _Token) -> list[str]:
        """`labels."with/slash".more` as its names; the token is taken already."""
        if token.kind == "text":
            path, goes_on = [token.text], self.token.kind == "word" and self.token.text.startswith(".")
        else:
            path, goes_on = [part for part in token.text.split(".") if part], token.text.endswith(".")
        while goes_on and self.token.kind in ("word", "text"):
            more = self.take()
            path += [more.text] if more.kind == "text" else [part for part in more.text.split(".") if part]
            follows = self.token.kind == "word" and self.token.text.startswith(".")
            goes_on = more.text.endswith(".") if more.kind == "word" else follows
        return path or [token.text]

    def known(self, path: Sequence[str]) -> Field:
        try:
            return self.field_of(path)
        except FieldError as error:
            raise QueryError(str(error)) from None

    def comparison(self, of: Field, operator: str) -> Query:
        if self.token.kind == "(":
            return self.value_list(of, operator)
        token = self.take()
        if token.kind not in ("word", "text"):
            self.fail(token)
        wanted, quoted = token.text, token.kind == "text"
        while not quoted and self.token.kind == "op" and self.token.text == ":":
            self.take()  # an unquoted time
            if self.token.kind != "word":
                self.fail()
            wanted += ":" + self.take().text
        if wanted == "*" and not quoted and operator in (":", "="):
            present = of.present
            return Query(lambda entry: any(value is not None for value in present(entry)))
        check = self.check(of.kind, operator, wanted, quoted)
        since, until = _bounds(of, operator, wanted)
        return Query(_test(of.read, check), since, until, _pins(of, operator, wanted))

    def check(self, kind: str, operator: str, wanted: str, quoted: bool) -> Check:
        if kind == "string" and operator in _ORDERED and wanted == NULL and not quoted:
            kind = "any"
        try:
            return relation(kind, operator, wanted, quoted=quoted)
        except (ConversionError, PatternError) as error:
            raise QueryError(str(error)) from None

    def value_list(self, of: Field, operator: str) -> Query:
        """`field = ("a" OR "b")`: the operator is distributed over the values."""
        self.expect("(")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError("the filter is nested too deeply")
        groups = [[self.value(of, operator)]]
        while self.token.kind != ")":
            if self.keyword("OR"):
                self.take()
                groups[-1].append(self.value(of, operator))
                continue
            if self.keyword("AND"):
                self.take()
            groups.append([self.value(of, operator)])
        self.expect(")")
        self.depth -= 1
        return _all([_any(group) for group in groups])

    def value(self, of: Field, operator: str) -> Query:
        if self.minus():
            return _not(self.comparison(of, operator))
        return self.comparison(of, operator)

    def function(self, name: _Token) -> Query:
        """A function of its own, or one whose value is compared."""
        arguments = self.arguments()
        try:
            if self.token.kind == "op" and (value := functions.value(name.text, arguments, self.known)):
                operator, token = self.take().text, self.take()
                if token.kind not in ("word", "text"):
                    self.fail(token)
                check = self.check(value.kind, operator, token.text, token.kind == "text")
                return Query(_test(value.read, check))
            predicate, pinned = functions.predicate(name.text, arguments, self.known)
        except (functions.FunctionError, PatternError) as error:
            raise QueryError(str(error)) from None
        return Query(predicate, pinned=pinned)

    def arguments(self) -> list[functions.Argument]:
        """The arguments of a function: names, texts, and values of functions within."""
        self.expect("(")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError("the filter is nested too deeply")
        found: list[functions.Argument] = []
        while self.token.kind != ")":
            token = self.take()
            if token.kind not in ("word", "text"):
                self.fail(token)
            if token.kind == "word" and self.token.kind == "(":
                inner = self.arguments()
                found.append(functions.Argument("", False, inner, token.text))
            elif token.kind == "text":
                found.append(functions.Argument(token.text, True))
            else:
                found.append(functions.Argument(".".join(self.path(token)), False))
            if self.token.kind == ",":
                self.take()
            elif self.token.kind != ")":
                self.fail()
        self.take()
        self.depth -= 1
        return found


def _test(read: fields.Reader, check: Check) -> Predicate:
    def matches(entry: Entry) -> bool:
        for value in read(entry):  # noqa: SIM110 - as above
            if check(value):
                return True
        return False

    return matches


def _bounds(of: Field, operator: str, wanted: str) -> tuple[int, int]:
    moment = nanoseconds(wanted) if of.path == ("timestamp",) else None
    if moment is None:
        return 0, FOREVER
    return moment if operator in (">", ">=", "=") else 0, moment if operator in ("<", "<=", "=") else FOREVER


def _pins(of: Field, operator: str, wanted: str) -> Mapping[str, frozenset[str]]:
    name = _PINNED.get(of.path)
    return {name: frozenset({wanted.casefold()})} if name is not None and operator == "=" else {}
