"""The functions of the Logging query language: predicates (log_id, SEARCH, ip_in_net, sample, source) and values that
are compared (cast, regexp_extract).

Source: https://cloud.google.com/logging/docs/view/logging-query-language#functions. SEARCH compares whole tokens, as
the text analyzer of https://cloud.google.com/logging/docs/view/logging-query-language#search-function makes them.
"""

import ipaddress
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from local_cloud.logs.compare import Entry, duration, nanoseconds, number, shown, texts
from local_cloud.logs.fields import Field, Reader
from local_cloud.logs.patterns import compiled

Known = Callable[[Sequence[str]], Field]
Found = tuple[Callable[[Entry], bool], Mapping[str, frozenset[str]]]

_TOKEN = re.compile(r"[^\s\[\]<>(){}|!;,'\"*&?+/:=@.\-$%\\_]+")
_PHRASE = re.compile(r"`([^`]*)`|([^`\s]+)")
_KINDS = {"STRING": "string", "INT64": "number", "FLOAT64": "number", "DOUBLE": "number", "BOOL": "bool",
          "TIMESTAMP": "time", "DURATION": "duration"}  # fmt: skip


class FunctionError(ValueError):
    """The function is not known, or its arguments are not what it takes."""


@dataclass(frozen=True)
class Argument:
    """A name, a quoted text, or (with `function`) what another function gives."""

    text: str
    quoted: bool
    inner: Sequence["Argument"] = field(default_factory=list)
    function: str = ""


@dataclass(frozen=True)
class Value:
    """What a function gives, to be compared."""

    kind: str
    read: Reader


def predicate(name: str, given: Sequence[Argument], known: Known) -> Found:
    """A function that is true or false of an entry, with what it pins."""
    plain = [argument.text for argument in given]
    match name, given:
        case "log_id" | "LOG_ID", [wanted]:
            return _log_id(wanted.text)
        case "SEARCH" | "search", [_]:
            return _search(plain[0], lambda entry: (entry,)), {}
        case "SEARCH" | "search", [of, _]:
            return _search(plain[1], _field(of, known).read), {}
        case "ip_in_net", [of, _]:
            return _ip_in_net(_field(of, known).read, plain[1]), {}
        case "sample", [of, _]:
            return _sample(_field(of, known).read, plain[1]), {}
        case "source", [wanted]:
            return _source(wanted.text), {}
    raise FunctionError(f"unknown function '{name}' with {len(given)} arguments")


def value(name: str, given: Sequence[Argument], known: Known) -> Value | None:
    """A function whose result is compared; None where it is no such function."""
    match name.lower(), given:
        case "cast", [of, kind]:
            return _cast(_value_of(of, known), kind.text, UTC)
        case "cast", [of, kind, zone] if zone.function.upper() == "TIMEZONE" and len(zone.inner) == 1:
            return _cast(_value_of(of, known), kind.text, _zone(zone.inner[0].text))
        case "regexp_extract", [of, pattern]:
            return _extract(_value_of(of, known), pattern.text)
    return None


def tokens(text: str) -> list[str]:
    """The words of a text, as SEARCH compares them."""
    return _TOKEN.findall(text.casefold())


def _field(argument: Argument, known: Known) -> Field:
    return known(argument.text.split(".") if not argument.quoted else [argument.text])


def _value_of(argument: Argument, known: Known) -> Value:
    if argument.function:
        found = value(argument.function, argument.inner, known)
        if found is None:
            raise FunctionError(f"unknown function '{argument.function}' with {len(argument.inner)} arguments")
        return found
    of = _field(argument, known)
    return Value(of.kind, of.read)


@lru_cache(maxsize=4096)
def log_id(name: str) -> str:
    """The log id of a log's name, in lower case."""
    return unquote(name.rpartition("/logs/")[2]).casefold()


def _log_id(wanted: str) -> Found:
    plain = unquote(wanted).casefold()

    def matches(entry: Entry) -> bool:
        return log_id(str(entry.get("logName", ""))) == plain

    return matches, {"log_id": frozenset({plain})}


def _search(text: str, read: Reader) -> Callable[[Entry], bool]:
    """All words of the text, wherever they stand; what stands in backticks in one row."""
    phrases: list[list[str]] = []
    for exact, rest in _PHRASE.findall(text):
        phrases += [tokens(exact)] if exact else [[word] for word in tokens(rest)]
    phrases = [phrase for phrase in phrases if phrase]
    if not phrases:
        raise FunctionError("SEARCH needs a word to look for")

    def matches(entry: Entry) -> bool:
        rows = [tokens(one) for found in read(entry) for one in texts(found)]
        return all(any(_has(row, phrase) for row in rows) for phrase in phrases)

    return matches


def _has(row: list[str], phrase: list[str]) -> bool:
    if len(phrase) == 1:
        return phrase[0] in row
    return any(row[at : at + len(phrase)] == phrase for at in range(len(row) - len(phrase) + 1))


def _ip_in_net(read: Reader, subnet: str) -> Callable[[Entry], bool]:
    try:
        net = ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        raise FunctionError(f"invalid subnet '{subnet}' of ip_in_net") from None

    def inside(text: Any) -> bool:
        try:
            return ipaddress.ip_address(str(text)) in net
        except ValueError:
            return False

    return lambda entry: any(inside(found) for found in read(entry))


def _sample(read: Reader, fraction: str) -> Callable[[Entry], bool]:
    share = number(fraction)
    if share is None or not 0 <= share <= 1:
        raise FunctionError(f"invalid fraction '{fraction}' of sample: a number from 0 to 1 is expected")
    limit = share * 2**32
    return lambda entry: any(zlib.crc32(shown(found).encode()) < limit for found in read(entry))


def _source(wanted: str) -> Callable[[Entry], bool]:
    parts = wanted.split("/")
    if len(parts) != 2 or parts[0] not in ("projects", "folders", "organizations", "billingAccounts") or not parts[1]:
        raise FunctionError(f"invalid source '{wanted}'")
    return lambda entry: str(entry.get("logName", "")).startswith(f"{wanted}/")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise FunctionError(f"unknown time zone '{name}'") from None


def _cast(of: Value, kind: str, zone: tzinfo) -> Value:
    made = _KINDS.get(kind.upper())
    if made is None:
        raise FunctionError(f"unknown type '{kind}' of cast: {', '.join(_KINDS)} are known")
    convert: Mapping[str, Callable[[str], Any]] = {
        "string": lambda text: _local(text, zone) if of.kind == "time" else text,
        "number": lambda text: _number(text, kind.upper() == "INT64"),
        "bool": lambda text: {"true": True, "false": False}.get(text.casefold()),
        "time": lambda text: text if nanoseconds(text) is not None else None,
        "duration": lambda text: text if duration(text) is not None else None,
    }
    change = convert[made]

    def read(entry: Entry) -> list[Any]:
        return [made for found in of.read(entry) if (made := change(shown(found))) is not None]

    return Value(made, read)


def _number(text: str, whole: bool) -> float | int | None:
    found = number(text)
    return int(found) if found is not None and whole and abs(found) < 2**63 else found


def _local(text: str, zone: tzinfo) -> str | None:
    found = nanoseconds(text)
    if found is None or zone is UTC:
        return text
    moment = datetime.fromtimestamp(found // 10**9, zone)
    fraction = f"{found % 10**9:09}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}{moment.isoformat()[-6:]}"


def _extract(of: Value, pattern: str) -> Value:
    found = compiled(pattern)
    if found.groups > 1:
        raise FunctionError("the regular expression of regexp_extract must have at most one capturing group")

    def read(entry: Entry) -> list[str]:
        matches = (found.search(shown(one)) for one in of.read(entry))
        return [match[found.groups] for match in matches if match is not None and match[found.groups] is not None]

    return Value("string", read)
