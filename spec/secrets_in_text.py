"""Where in a text something stands that looks like a secret: of known form, or too random to be a word.

Pure: text in, places out; lint asks it of the project's files, the policy pack of a plan. Leaves out what is random and
public: digests, addresses, hashes, ids of resources, references to secrets, and what Pulumi has encrypted. The forms
are spec/secret_forms.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spec.secret_forms import FORMS, in_named, is_random

#: Characters of a line below which it holds no secret.
SHORTEST = 12

#: `name: value` or `name=value` where the name says that the value is secret.
_NAMED = re.compile(
    r"(?i)(?:password|passwd|secret|private_?key|signing_?key|api_?key|ipn_?key|token)\b[\"']?\s*[:=]\s*"
    r"[\"']?(?P<value>[^\s\"',}\]]{12,})"
)

#: What Pulumi writes into a stack's file: values that it has encrypted, and the key and the salt, encrypted as well.
_ENCRYPTED = re.compile(
    r"\bsecure:\s*[\"']?[\w+/=:.-]+|^[\"']?(?:encryptedkey|encryptionsalt)[\"']?:\s*[\"']?[\w+/=:.-]+"
)

#: A run of characters that could be a secret: what base64 and its kin are made of, but for the slash of paths.
_RUN = re.compile(r"[A-Za-z0-9+_=-]{24,}")

#: A random run has all of them; a name has mostly one.
_KINDS = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"\d"))

#: Random, and public: digests, addresses and hashes in hex, and actions pinned by a commit.
_PUBLIC = re.compile(r"(?:sha\d+[:-])?(?:0x)?(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{32}|[0-9a-fA-F]{64}|\d+)|sha\d+-[\w+/=]+")

#: A key in hex, which a digest looks like too: only where the name says what it is, or nothing says digest.
_HEX_KEY = re.compile(r"(?<![\w:@/-])(?:0x)?[0-9a-fA-F]{64}(?![\w])")

_DIGEST = re.compile(r"(?i)digest|sha|hash|commit|checksum")

#: Bits of a character above which a run of so many characters is no word of a language.
_BITS = 4.2

#: Words that a secret has not: parts of names, paths and templates.
_REFERENCE = re.compile(r"[${}<>()]|^secrets?[./]|^projects/|^//|^v\d+:")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a text, and what seems to stand there."""

    line: int
    column: int
    what: str


def spots(text: str) -> Iterator[Spot]:
    """Yield what looks like a secret, once a line."""
    forms = {what: form for what, form in FORMS.items() if form.search(text)}  # mostly none: then no line is asked
    for number, line in enumerate(text.splitlines(), start=1):
        found = _in_line(line, forms) if len(line) >= SHORTEST else None
        if found is not None:
            yield Spot(number, found[0] + 1, found[1])


def _in_line(line: str, forms: Mapping[str, re.Pattern[str]]) -> tuple[int, str] | None:
    line = _ENCRYPTED.sub(lambda found: " " * len(found[0]), line)
    return _known_or_random(line, forms)


def _known_or_random(line: str, forms: Mapping[str, re.Pattern[str]] = FORMS) -> tuple[int, str] | None:
    for what, form in forms.items():
        if found := form.search(line):
            return found.start(), what
    if (named := _NAMED.search(line)) and is_random(named["value"]) and not _REFERENCE.search(named["value"]):
        return named.start("value"), "a value whose name says that it is secret"
    for run in _RUN.finditer(line):
        if (key := _HEX_KEY.search(line)) and not _DIGEST.search(line):
            return key.start(), "a key in hex"
        mixed = all(kind.search(run[0]) for kind in _KINDS)
        if mixed and is_random(run[0], least=_BITS) and not _PUBLIC.fullmatch(run[0]):
            return run.start(), "what is too random to be a word"
    return None


def in_value(name: str, value: str) -> str | None:
    """Return what a value of this name holds, judged as strictly as can be: by name, form, URL and randomness."""
    if found := in_named(name, value):
        return found
    return next((spot[1] for line in value.splitlines() if (spot := _known_or_random(line))), None)
