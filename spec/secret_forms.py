"""What a secret looks like: its form, the name that it goes by, the URL that carries it.

The one list for all who ask: lint and the policy pack (``looks_secret``, ``FORMS``), images (``IN_CODE``), adopt and
drift (``spec.secrets_in_text.in_value``). The last is strict, since it judges an estate made by hand: there, a name
that speaks of a key is enough, and so is a URL with something like a key in it. Pure: text in, a word for what
stands there out.

Sources of the forms: the documentation of each issuer (Google: ya29., AIza, GOCSPX-; GitHub: ghp_ and its kin; Slack:
xox; Stripe: sk_live_; AWS: AKIA; npm: npm_; JWT: three parts of base64url).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from urllib.parse import parse_qsl, urlsplit

#: The variable by which Google's libraries find a key file.
KEY_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"

#: Hosts whose webhook URLs are secrets themselves.
SECRET_WEBHOOKS = ("hooks.slack.com", "discord.com", "discordapp.com", "outlook.office.com", "webhook.office.com")

#: Tokens that nobody writes by chance.
FORMS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a Google access token": re.compile(r"\bya29\.[\w-]{20,}"),
    "a Google API key": re.compile(r"\bAIza[\w-]{35}\b"),
    "a Google client secret": re.compile(r"\bGOCSPX-[\w-]{20,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_\w{30,}|github_pat_\w{50,})\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[\w-]{10,}"),
    "a Slack webhook": re.compile(r"hooks\.slack\.com/services/T\w{6}"),
    "a Telegram bot token": re.compile(r"(?:\b|(?<=bot))\d{8,10}:[A-Za-z0-9_-]{35}\b"),
    "a Stripe key": re.compile(r"\b[sr]k_live_\w{20,}"),
    "an AWS key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "an npm token": re.compile(r"\bnpm_[A-Za-z0-9]{36}\b"),
    "a Pulumi token": re.compile(r"\bpul-[0-9a-f]{40}\b"),
    "a signed token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a URL with a password": re.compile(r"://[^/@\s:{}$\"']*:(?!\*)[^/@\s{}$\"']{3,}@"),
    "a node's URL with its key": re.compile(r"\b(?:alchemy\.com/v2|infura\.io/v3)/[\w-]{24,}"),
}

#: A key with its body: code that only speaks of keys has the first line.
WHOLE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{16}")

#: What code may not hold.
IN_CODE = FORMS | {
    "a private key": WHOLE_KEY,
    "a service account's key": re.compile(r"\"private_key_id\"\s*:\s*\"[0-9a-f]{16}"),
}

#: Names whose values are secret whatever the value looks like; file names and versions of secrets are none.
SECRET_NAME = re.compile(
    r"(password|passwd|private_?key|signing_?key|api_?key|ipn_?key|access_?token|bot_?token|credentials|secret)$", re.I
)

#: A URL that carries a password.
PASSWORD_IN_URL = re.compile(r"://[^/@\s:\"']*:[^/@\s\"']+@")

#: Values that are secret whatever they are called: keys in PEM or hex, well known tokens, passwords in URLs.
SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\"private_key\"|^(0x)?[0-9a-fA-F]{64}$"
    rf"|{PASSWORD_IN_URL.pattern}|^ya29\.|^xox[abp]-|^gh[pousr]_"
)

#: Parts of names of variables, headers and parameters that hold something secret.
_NAMED = re.compile(
    r"(secret|password|passwd|token|credential|authorization|cookie|dsn|signature)|(^|_)(key|pwd|pat|sig)(_|$)|(^|_)auth$",
    re.I,
)

#: Names that only speak of something secret: where it is, how long it lives, which one it is.
_ABOUT = re.compile(r"(name|version|id|file|path|ttl|window|expiry|expires|seconds|enabled)$", re.I)

#: What switches, counts or lasts, whatever it is called.
_SETTING = re.compile(r"true|false|yes|no|on|off|\d+|\d{1,6}(\.\d{1,3})?(ms|s|m|h|d)?", re.I)

#: Names of URLs whose path is the key: to a node, to a chat.
_KEYED_URL = re.compile(r"(rpc_url|webhook)$", re.I)

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")

#: Part of a name that people gave: a word with a number at its end, or a number.
_WORD = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)+\d{0,4}|\d*")

#: An address of a chain in a path is public.
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

#: Parameters of URLs that open something, and do not say so.
_OPENS = frozenset({"auth", "code", "apikey"})

#: Characters that a key in a URL has at least.
_KEY_LENGTH = 16


def form(text: str) -> str | None:
    """Return what of a known form stands in a text."""
    return next((what for what, known in FORMS.items() if known.search(text)), None)


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable's name or value says that it is a secret; the path of a key file is another matter (SL314)."""
    return bool(value) and name != KEY_VARIABLE and bool(SECRET_NAME.search(name) or SECRET_VALUE.search(value))


def named(name: str) -> bool:
    """Whether a name speaks of something secret, judged strictly; a header's name is one too."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_")
    return bool(SECRET_NAME.search(plain) or (_NAMED.search(plain) and not _ABOUT.search(plain)))


def in_named(name: str, value: str) -> str | None:
    """Return what a value of this name holds, judged strictly; no name is known where it is empty."""
    if found := form(value):
        return found
    if SECRET_VALUE.search(value):
        return "what is secret whatever it is called"
    if name and value and named(name) and not _SETTING.fullmatch(value):
        return "a value whose name says that it is secret"
    for url in _URL.findall(value):
        if found := in_url(url, keyed=bool(_KEYED_URL.search(name.replace("-", "_")))):
            return found
    return None


def in_url(url: str, *, keyed: bool = False) -> str | None:
    """Return what a URL carries that opens something: a login, a parameter, a part of its path like a key."""
    try:
        parts = urlsplit(url)
        host, login = parts.hostname or "", parts.username or ""
    except ValueError:
        return "a URL that cannot be read"
    path = [piece for piece in parts.path.split("/") if piece]
    query = parse_qsl(parts.query, keep_blank_values=True)
    if (keyed and (path or query)) or (path and host.endswith(SECRET_WEBHOOKS)):
        return "a URL that is a key itself"
    if is_key(login):
        return "a URL with a login"
    if any(value and (named(key) or key.lower() in _OPENS or is_key(value)) for key, value in query):
        return "a URL with a key among its parameters"
    if any(is_key(piece) for piece in [*path, parts.fragment]):
        return "a URL with a key in it"
    return None


def is_key(text: str) -> bool:
    """Whether a part of a URL is more like a key than like a name that people give."""
    if len(text) < _KEY_LENGTH or _ADDRESS.fullmatch(text) or set(text) & set("{}$"):
        return False
    return is_random(text) and not all(_WORD.fullmatch(piece) for piece in re.split(r"[-_.:~@]", text))


def is_random(text: str, least: float = 3.0) -> bool:
    """Whether a text has so many bits a character, and letters and digits in it, as secrets have and names have not."""
    mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return mixed and entropy(text) >= least


def entropy(text: str) -> float:
    """Return Shannon's entropy of a text's characters, in bits."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
