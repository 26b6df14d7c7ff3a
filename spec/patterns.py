"""Regular expressions as Google's services read them: RE2's language, looked at with Python's own engine.

Owns the differences that decide whether a pattern is taken: what RE2 does not have (looking around, back references,
possessive repeats) is refused, what only RE2 writes is put into Python's words. A Unicode class (`\\pL`) is taken for
any character: what it matches is not known here.

Source: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

#: A repeat of more is refused.
MOST_REPEATS = 1000

_ONLY_PYTHON = re.compile(
    r"""\\Q.*?(?:\\E|$) | \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]
      | (?P<back>\\[1-9]) | \\.
      | (?P<group>\(\?(?:<?[=!]|[>(\#]|P[=>]))
      | (?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\})\+)
      | \{(?P<least>\d+)(?:,(?P<most>\d*))?\}""",
    re.VERBOSE | re.DOTALL,
)
_ONLY_RE2 = re.compile(
    r"""\\Q(?P<literal>.*?)(?:\\E|$) | \[:(?P<named>\^?\w+):\] | (?P<unicode>\\[pP](?:\{\^?\w+\}|\w))
      | (?P<escape>\\[zC]) | \\x\{(?P<code>[0-9A-Fa-f]{1,6})\} | \\. | \(\?<(?P<name>\w+)> | (?P<flags>\(\?[imsU-]+\))
      | \(\?(?P<scoped>[imsU-]+): """,
    re.VERBOSE | re.DOTALL,
)
_NAMED = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_ANY = r"\x00-\U0010FFFF"


class NoPattern(ValueError):
    """RE2 would refuse it; the text says why."""


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """Return a pattern as Python runs it. Raises NoPattern."""
    for found in _ONLY_PYTHON.finditer(text):
        if strange := found["back"] or found["group"] or found["repeat"]:
            raise NoPattern(f"RE2, which Google reads it with, has no {strange}")
        if found["least"] and max(int(found["least"]), int(found["most"] or 0)) > MOST_REPEATS:
            raise NoPattern(f"RE2, which Google reads it with, repeats at most {MOST_REPEATS} times")
    # A flag in the middle is for the rest alone; whether the pattern can be read does not hang on it.
    ignores_case = any("i" in found["flags"] for found in _ONLY_RE2.finditer(text) if found["flags"])
    try:
        return re.compile(_ONLY_RE2.sub(_in_python, text), re.ASCII | (re.IGNORECASE if ignores_case else 0))
    except (re.error, OverflowError, RecursionError) as error:
        raise NoPattern(str(error)) from None


def _in_python(found: re.Match[str]) -> str:
    return _WORDS[found.lastgroup](found) if found.lastgroup else found[0]


def _named_class(found: re.Match[str]) -> str:
    name = found["named"].removeprefix("^")
    if name not in _NAMED:
        raise NoPattern(f"there is no class [:{name}:]")
    return _NAMED[name] if name == found["named"] else _ANY


def _scoped_flags(found: re.Match[str]) -> str:
    flags = found["scoped"].replace("U", "")
    return f"(?{flags}:" if flags.strip("-") else "(?:"


def _in_class(found: re.Match[str]) -> bool:
    before = re.sub(r"\\.", "", found.string[: found.start()], flags=re.DOTALL)
    return before.rfind("[") > before.rfind("]")


#: What stands for each piece in Python's words.
_WORDS: Mapping[str, Callable[[re.Match[str]], str]] = {
    "literal": lambda found: re.escape(found["literal"]),
    "named": _named_class,
    "unicode": lambda found: _ANY if _in_class(found) else f"[{_ANY}]",
    "escape": lambda found: {r"\z": r"\Z", r"\C": "."}[found["escape"]],
    "code": lambda found: rf"\U{int(found['code'], 16):08x}",
    "name": lambda found: f"(?P<{found['name']}>",
    "flags": lambda _: "",
    "scoped": _scoped_flags,
}
