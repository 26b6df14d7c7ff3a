"""Conditions of bindings: the part of CEL that IAM conditions are mostly written in.

request.time, resource.name, resource.type and resource.service with comparisons, startsWith, endsWith, contains,
timestamp(), &&, ||, ! and brackets. What lies beyond is refused when the policy is set, never guessed at.
Source: https://cloud.google.com/iam/docs/conditions-attribute-reference.
"""

import datetime
import re
from collections.abc import Callable
from functools import lru_cache

from local_cloud.errors import ApiError, invalid

Value = str | float | bool
Facts = dict[str, Value]
Term = Callable[[Facts], Value]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<name>[A-Za-z_][\w.]*)|(?P<op>&&|\|\||[=!<>]=|[!<>(),]))"""
)
_ATTRIBUTES = ("request.time", "resource.name", "resource.type", "resource.service")
_METHODS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}

#: resource.service and resource.type by the collection that a name ends with.
_TYPES = {
    "queues": ("cloudtasks.googleapis.com", "cloudtasks.googleapis.com/Queue"),
    "services": ("run.googleapis.com", "run.googleapis.com/Service"),
    "secrets": ("secretmanager.googleapis.com", "secretmanager.googleapis.com/Secret"),
    "versions": ("secretmanager.googleapis.com", "secretmanager.googleapis.com/SecretVersion"),
    "serviceAccounts": ("iam.googleapis.com", "iam.googleapis.com/ServiceAccount"),
    "topics": ("pubsub.googleapis.com", "pubsub.googleapis.com/Topic"),
    "subscriptions": ("pubsub.googleapis.com", "pubsub.googleapis.com/Subscription"),
    "projects": ("cloudresourcemanager.googleapis.com", "cloudresourcemanager.googleapis.com/Project"),
}


def holds(expression: str, resource: str, now: float) -> bool:
    """Whether a condition holds for a call on a resource at a time."""
    collection = resource.split("/")[-2] if "/" in resource else ""
    service, kind = _TYPES.get(collection, ("", ""))
    facts: Facts = {
        "request.time": now,
        "resource.name": resource,
        "resource.service": service,
        "resource.type": kind,
    }
    try:
        return compiled(expression)(facts) is True
    except (TypeError, ApiError):
        return False


def check(expression: str) -> None:
    """Refuses what cannot be read, when a policy is set."""
    compiled(expression)


@lru_cache(maxsize=1000)
def compiled(expression: str) -> Term:
    """The expression as a function of the facts."""
    parser = _Parser(expression)
    term = parser.any_of()
    if parser.peek():
        raise parser.wrong()
    return term


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                raise self.wrong()
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()

    def wrong(self) -> ApiError:
        return invalid(
            "Condition expression compilation failed. The local cloud reads request.time, resource.name, resource.type "
            "and resource.service with ==, !=, <, <=, >, >=, startsWith, endsWith, contains, timestamp(), &&, || and "
            f"!; not this: {self.text}"
        )

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> tuple[str, str]:
        if self.at >= len(self.tokens) or (wanted and self.peek() != wanted):
            raise self.wrong()
        self.at += 1
        return self.tokens[self.at - 1]

    def any_of(self) -> Term:
        left = self.all_of()
        while self.peek() == "||":
            self.take()
            left = _either(left, self.all_of())
        return left

    def all_of(self) -> Term:
        left = self.comparison()
        while self.peek() == "&&":
            self.take()
            left = _both(left, self.comparison())
        return left

    def comparison(self) -> Term:
        left = self.unary()
        operator = self.peek()
        if operator in ("==", "!="):
            self.take()
            return _equal(left, self.unary(), operator == "==")
        if operator in _COMPARE:
            self.take()
            return _ordered(left, self.unary(), _COMPARE[operator])
        return left

    def unary(self) -> Term:
        kind, text = self.take()
        if text == "!":
            inner = self.unary()
            return lambda facts: not inner(facts)
        if text == "(":
            inner = self.any_of()
            self.take(")")
            return inner
        if kind == "string":
            value = re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda _: value
        if kind == "name":
            return self.named(text)
        raise self.wrong()

    def named(self, text: str) -> Term:
        if text in ("true", "false"):
            return lambda _: text == "true"
        if text in _ATTRIBUTES:
            return lambda facts: facts[text]
        subject, _, method = text.rpartition(".")
        if text == "timestamp" or (subject in _ATTRIBUTES and method in _METHODS):
            self.take("(")
            kind, raw = self.take()
            self.take(")")
            if kind != "string":
                raise self.wrong()
            if text == "timestamp":
                return self.time(raw[1:-1])
            run = _METHODS[method]
            return lambda facts: run(str(facts[subject]), raw[1:-1])
        raise self.wrong()

    def time(self, raw: str) -> Term:
        try:
            value = datetime.datetime.fromisoformat(raw)
        except ValueError:
            raise self.wrong() from None
        if value.tzinfo is None:
            raise self.wrong()
        return lambda _: value.timestamp()


def _either(a: Term, b: Term) -> Term:
    return lambda facts: a(facts) is True or b(facts) is True


def _both(a: Term, b: Term) -> Term:
    return lambda facts: a(facts) is True and b(facts) is True


def _equal(a: Term, b: Term, wanted: bool) -> Term:
    return lambda facts: (a(facts) == b(facts)) is wanted


def _ordered(a: Term, b: Term, compare: Callable[[float, float], bool]) -> Term:
    def run(facts: Facts) -> bool:
        left, right = a(facts), b(facts)
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError("times compare with times")
        return compare(left, right)

    return run
