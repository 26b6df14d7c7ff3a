"""What looks like a secret in any text: tokens of known form, keys, passwords in URLs, and what is too random.

Pure: text in, places out; lint asks it of the project's files, the policy pack of a plan. Leaves out what is random and
public: digests, addresses, hashes, ids of resources, and references to secrets.

Sources of the forms: the documentation of each issuer (Google: ya29., AIza, GOCSPX-; GitHub: ghp_ and its kin; Slack:
xox; Stripe: sk_live_; AWS: AKIA; npm: npm_; JWT: three parts of base64url).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: Characters of a line below which it holds no secret.
SHORTEST = 12

#: Tokens that nobody writes by chance.
FORMS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a Google access token": re.compile(r"\bya29\.[\w-]{20,}"),
    "a Google API key": re.compile(r"\bAIza[\w-]{35}\b"),
    "a Google client secret": re.compile(r"\bGOCSPX-[\w-]{20,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_\w{30,}|github_pat_\w{50,})\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[\w-]{10,}"),
    "a Slack webhook": re.compile(r"hooks\.slack\.com/services/T\w+/B\w+/\w{20,}"),
    "a Telegram bot token": re.compile(r"\b\d{8,10}:[A-Za-z0-9_-]{35}\b"),
    "a Stripe key": re.compile(r"\b[sr]k_live_\w{20,}"),
    "an AWS key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "an npm token": re.compile(r"\bnpm_[A-Za-z0-9]{36}\b"),
    "a Pulumi token": re.compile(r"\bpul-[0-9a-f]{40}\b"),
    "a signed token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a URL with a password": re.compile(r"://[^/@\s:{}$\"']*:(?!\*)[^/@\s{}$\"']{3,}@"),
    "a node's URL with its key": re.compile(r"\b(?:alchemy\.com/v2|infura\.io/v3)/[\w-]{24,}"),
}

#: `name: value` or `name=value` where the name says that the value is secret.
_NAMED = re.compile(
    r"(?i)(?:password|passwd|secret|private_?key|signing_?key|api_?key|ipn_?key|token)\b[\"']?\s*[:=]\s*"
    r"[\"']?(?P<value>[^\s\"',}\]]{12,})"
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
    if "secure:" in line:  # what Pulumi has encrypted
        return None
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


def is_random(text: str, least: float = 3.0) -> bool:
    """Whether a text has so many bits a character, and letters and digits in it, as secrets have and names have not."""
    mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return mixed and entropy(text) >= least


def entropy(text: str) -> float:
    """Return Shannon's entropy of a text's characters, in bits."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
