"""Regular expressions of queries and extractors: RE2's language, run by Python's own engine.

Owns the differences that matter: what RE2 does not have (look-around, back references, possessive repeats) is refused
in its words, what only RE2 writes (POSIX classes, \\z, \\Q...\\E) is put into Python's words.
Source: https://github.com/google/re2/wiki/Syntax.
"""

import re
from collections.abc import Callable
from functools import lru_cache

_REFUSED = re.compile(r"\\.|(?P<perl>\(\?(?:<?[=!]|>|\(|P[=>]|#))|(?P<repeat>(?:[*+?]|\{\d*,?\d*\})\+)", re.DOTALL)
_BACK = re.compile(r"\\(?:\\|(?P<back>[1-9]|k[<{'])|.)", re.DOTALL)
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_ONLY_RE2 = re.compile(r"\\Q(?P<literal>.*?)(?:\\E|$)|\\(?P<escape>[zC])|\[:(?P<class>\w+):\]|\\.", re.DOTALL)
#: Longer ones are refused, as a filter is of at most 20,000 characters.
MAX_PATTERN = 20_000


class PatternError(ValueError):
    """The pattern is not one of RE2; the text says why."""


@lru_cache(maxsize=1024)
def compiled(text: str) -> "re.Pattern[str]":
    """A pattern; PatternError when RE2 would refuse it."""
    for match in _BACK.finditer(text):
        if match["back"]:
            raise PatternError(f"invalid escape sequence: {match[0]}")
    for match in _REFUSED.finditer(text):
        if match["perl"]:
            raise PatternError(f"invalid perl operator: {match[0]}")
        if match["repeat"]:
            raise PatternError(f"bad repetition operator: {match[0]}")
    try:
        return re.compile(_ONLY_RE2.sub(_translate, text), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"invalid regular expression {text!r}: {error}") from None


def searcher(text: str) -> "Callable[[str], re.Match[str] | None]":
    """Finds the first place in a text that matches."""
    return compiled(text).search


def _translate(match: "re.Match[str]") -> str:
    if match["literal"] is not None:
        return re.escape(match["literal"])
    if match["escape"]:
        return r"\Z" if match["escape"] == "z" else "."
    if match["class"]:
        if match["class"] not in _CLASSES:
            raise PatternError(f"invalid character class range: [:{match['class']}:]")
        return _CLASSES[match["class"]]
    return match[0]
