"""Extractor expressions of log-based metrics: EXTRACT(field) and REGEXP_EXTRACT(field, "regex").

Source: LogMetric.value_extractor and .label_extractors in google/logging/v2/logging_metrics.proto.
"""

import re
from collections.abc import Callable
from math import isfinite

from local_cloud.logs.compare import Entry, duration, number, shown
from local_cloud.logs.fields import Field, FieldError, field
from local_cloud.logs.patterns import PatternError, compiled

Text = Callable[[Entry], str | None]

_PLAIN = re.compile(r"\s*EXTRACT\(\s*(?P<field>[^,()]+?)\s*\)\s*")
_REGEXP = re.compile(
    r"""\s*REGEXP_EXTRACT\(\s*(?P<field>[^,()]+?)\s*,\s*(?P<quote>["'])(?P<regex>.*)(?P=quote)\s*\)\s*""", re.DOTALL
)
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')


class ExtractorError(ValueError):
    """The expression cannot be read; the text says why."""


def text_of(expression: str) -> Text:
    """Gives the text that an expression finds in an entry, or None."""
    plain, regexp = _PLAIN.fullmatch(expression), _REGEXP.fullmatch(expression)
    match = plain or regexp
    if match is None:
        raise ExtractorError(
            f"'{expression}' is no extractor: EXTRACT(field) and REGEXP_EXTRACT(field, \"regex\") are known"
        )
    of = _field(match["field"])
    if regexp is None:
        return lambda entry: next((_shown(of, value) for value in of.read(entry) if _scalar(value)), None)
    try:
        # A backslash may be doubled, as in a string, or not.
        pattern = compiled(regexp["regex"].replace("\\\\", "\\"))
    except PatternError as error:
        raise ExtractorError(str(error)) from None
    if pattern.groups != 1:
        raise ExtractorError(f"the regular expression of '{expression}' must have exactly one capturing group")

    def find(entry: Entry) -> str | None:
        for value in of.read(entry):
            if _scalar(value) and (found := pattern.search(shown(value))) is not None:
                return found[1]
        return None

    return find


def number_of(expression: str) -> Callable[[Entry], float | None]:
    """Gives the number that an expression finds in an entry; durations are seconds."""
    find = text_of(expression)

    def value(entry: Entry) -> float | None:
        text = find(entry)
        made = None if text is None else number(text.strip())
        return float(made) if made is not None and isfinite(made) else None

    return value


def _field(text: str) -> Field:
    try:
        return field([quoted or plain for quoted, plain in _NAME.findall(text)])
    except FieldError as error:
        raise ExtractorError(str(error)) from None


def _scalar(value: object) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _shown(of: Field, value: object) -> str:
    """A value as text; a field that is a duration in seconds."""
    seconds = duration(str(value)) if of.kind == "duration" else None
    return shown(value) if seconds is None else repr(seconds)
