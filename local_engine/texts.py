"""Values and changes as text of a given width: short ones whole, of long ones what tells them apart.

Owns where a value is cut, and how a document of JSON inside a property is compared by its own properties. Nothing is
cut without a width: what a machine reads has everything.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from operator import eq
from typing import Any, Final

from .diff import changes
from .model import Change
from .values import Secret, Unknown, has_secret, has_unknown, masked

#: Where a value goes on that was cut.
CUT: Final = "\u2026"
#: How deep properties stand, and a value that has no room beside its property.
PROPERTY, BELOW = 6, 10
#: Room beside a property for which a long value is cut there and not put below.
BESIDE = 40
#: Room for each of two long values beside a property, for which they are not put below.
PAIR = 30
#: Characters before the first difference of two long values that are shown with it, or as far back as its word begins.
BEFORE = 12
#: A text of JSON that is shorter is shown as a text.
DOCUMENT = 200
#: Changes of one document that are shown.
MOST = 12
#: Lines are broken between words alone, so that an id can be copied.
_FOLD = partial(
    textwrap.wrap, break_long_words=False, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False
)


def whole(value: Any) -> str:
    """A value as it is, secrets masked."""
    if isinstance(value, Secret | Unknown):
        return repr(value)
    if isinstance(value, str) and not (has_secret(value) or has_unknown(value)):
        return json.dumps(value)
    return json.dumps(masked(value))


def lines(
    sign: str, path: str, value: Any, width: int | None, *, note: str = "", deep: int = PROPERTY
) -> Iterator[str]:
    """A property and its value."""
    head = f"{' ' * deep}{sign}{' ' if sign else ''}{path}:"
    text = whole(value)
    if width is None or len(head) + len(text) + len(note) < width:
        yield f"{head} {text}{note}"
        return
    room = width - len(head) - len(note) - 1
    below = width - deep - (BELOW - PROPERTY)
    text = _document_text(value, text)
    if room >= min(len(text), BESIDE):
        yield f"{head} {shortened(text, room)}{note}"
    else:
        yield f"{head}{note}"
        yield " " * (deep + BELOW - PROPERTY) + shortened(text, below)


def changed(change: Change, width: int | None) -> Iterator[str]:
    """What differs in one property."""
    note = "  (forces replacement)" if change.replaces else "  (changed outside)" if change.drift else ""
    if change.kind == "add":
        yield from lines("+", change.path, change.new, width, note=note)
        return
    if change.kind == "delete":
        yield from lines("-", change.path, change.old, width, note=note)
        return
    head = f"{' ' * PROPERTY}~ {change.path}:"
    old, new = whole(change.old), whole(change.new)
    if width is None or len(f"{head} {old} => {new}{note}") <= width:
        yield f"{head} {old} => {new}{note}"
        return
    before, after = _document(change.old), _document(change.new)
    if before is not None and after is not None:
        yield f"{head} a document of {len(change.new):,} characters{note}"
        inner = list(changes(before, after))
        for one in inner[:MOST]:
            for line in changed(one, width - BELOW + PROPERTY):
                yield " " * (BELOW - PROPERTY) + line
        if len(inner) > MOST:
            yield f"{' ' * BELOW}{CUT} and {len(inner) - MOST} more"
        return
    beside = (width - len(f"{head}  => {note}")) // 2
    if beside >= PAIR:
        old, new = differing(old, new, beside)
        yield f"{head} {old} => {new}{note}"
        return
    old, new = differing(old, new, width - BELOW - 3)
    yield f"{head}{note}"
    yield f"{' ' * BELOW}{old}"
    yield f"{' ' * BELOW}=> {new}"


def shortened(text: str, room: int) -> str:
    """At most so many characters, and how many there are of a text that was cut."""
    if len(text) <= room:
        return text
    note = f"{CUT} ({len(text):,} characters)"
    return text[: max(1, room - len(note))] + note


def differing(old: str, new: str, room: int) -> tuple[str, str]:
    """Two texts from a little before their first difference, each cut to the room; short ones whole."""
    if max(len(old), len(new)) <= room:
        return old, new
    same = sum(1 for _ in takewhile(bool, map(eq, old, new)))
    words = [at for mark in "/ " if (at := old.rfind(mark, max(0, same - 2 * BEFORE), same)) >= 0]
    start = max(words, default=same - BEFORE)
    if start > 1:
        old, new = CUT + old[start:], CUT + new[start:]
    return _cut(old, room), _cut(new, room)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + CUT


def _document(value: Any) -> dict[str, Any] | None:
    """What a long text of JSON says, where it is an object's."""
    if not isinstance(value, str) or len(value) < DOCUMENT or not value.startswith("{") or has_secret(value):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _document_text(value: Any, text: str) -> str:
    """A document is shown as its JSON, without the marks that make a text of it."""
    return value if _document(value) is not None else text


def folded(text: str, width: int | None, deep: int) -> Iterator[str]:
    """A line of words, the rest of it so deep."""
    for line in text.splitlines() or [""]:
        yield from [line] if width is None else _FOLD(line, width, subsequent_indent=" " * deep) or [""]
