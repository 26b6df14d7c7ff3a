"""What the resources of Pub/Sub have in common: names, labels, durations, pages, and Google's words where one is wrong.

Messages are Google's as they are known from its answers; those that nobody has recorded are marked as ours in
docs/fidelity/. Sources: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names, .../docs/labels, and
google/pubsub/v1/pubsub.proto.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping

from local_cloud import plain
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import ApiError, already_exists, invalid, not_found

#: How Pub/Sub words a missing permission.
DENIED = "User not authorized to perform this action."
#: The topic of a subscription or snapshot whose topic was deleted.
DELETED_TOPIC = "_deleted-topic_"
#: The schema of a topic whose schema was deleted.
DELETED_SCHEMA = "_deleted-schema_"
#: The largest page of a list.
MAX_PAGE = 1000
#: The most labels of one resource.
MAX_LABELS = 64
#: A retention lasts between 10 minutes and 31 days.
MIN_RETENTION, MAX_RETENTION = 600.0, 31 * 86_400.0

_ID = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}")
_HELP = "Refer to https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names for more information."
_KEY = r"[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}"


def no_such(name: str) -> ApiError:
    """NOT_FOUND for a topic, subscription, snapshot or schema."""
    return not_found(f"Resource not found (resource={name.rpartition('/')[2]}).")


def taken(name: str) -> ApiError:
    """ALREADY_EXISTS for the same."""
    return already_exists(f"Resource already exists in the project (resource={name.rpartition('/')[2]}).")


def wrong(argument: str) -> ApiError:
    """INVALID_ARGUMENT as Pub/Sub says it of most things."""
    return invalid(f"You have passed an invalid argument to the service (argument={argument}).")


def checked_name(cloud: Cloud, name: str, kind: str, *, new: bool = False) -> str:
    """A resource's canonical name (`kind`: topics, subscriptions, ...); of a new one the id is looked at too."""
    parts = name.split("/")
    shaped = len(parts) == 4 and parts[0] == "projects" and parts[1] and parts[2] == kind and parts[3]
    if not shaped or (new and not _ID.fullmatch(parts[3])):
        raise invalid(f"Invalid resource name given (name={name}). {_HELP}")
    return cloud.canonical(name)


def checked_project(cloud: Cloud, name: str) -> str:
    """A parent's canonical name."""
    parts = name.split("/")
    if len(parts) != 2 or parts[0] != "projects" or not parts[1]:
        raise invalid(f"Invalid resource name given (name={name}). {_HELP}")
    return cloud.canonical(name)


def project_of(name: str) -> str:
    """The project that a new resource's name begins with."""
    return "/".join(name.split("/")[:2])


def check_labels(labels: Mapping[str, str]) -> None:
    """At most 64 labels, keys and values of lower-case letters, digits, - and _."""
    if len(labels) > MAX_LABELS:
        raise wrong(f'Invalid labels: Invalid field "labels"; {len(labels)} labels exceed the maximum of {MAX_LABELS}')
    for key, value in labels.items():
        text = f'Invalid labels: Invalid field "labels"; key "{key}" does not conform to regular expression "{_KEY}"'
        if not key[:1] or not _letter(key[0]):
            kinds = "is not a non-uppercased letter (Unicode character class Ll or Lo)"
            raise wrong(f'{text}; first character "{key[:1]}" {kinds}')
        if len(key) > 63 or not all(map(_fits, key)):
            raise wrong(text)
        if len(value) > 63:
            raise wrong(
                f'Invalid labels: Invalid field "labels.{key}"; value "{value}" exceeds maximum value length 63 with a '
                f"length of {len(value)}"
            )
        if not all(map(_fits, value)):
            pattern = r"[\p{Ll}\p{Lo}\p{N}_-]{0,63}"
            raise wrong(
                f'Invalid labels: Invalid field "labels.{key}"; value "{value}" does not conform to regular expression '
                f'"{pattern}"'
            )


def check_retention(duration: Message) -> None:
    """Of a topic's or a subscription's messages."""
    check_bounds("message retention duration", seconds(duration), MIN_RETENTION, MAX_RETENTION)


def check_bounds(what: str, value: float, least: float, most: float) -> None:
    """A duration between two others."""
    if not least <= value <= most:
        raise invalid(
            f"The value for {what} is out of bounds. You passed {spoken(value)} in the request, but the value must be "
            f"between {spoken(least)} and {spoken(most)}."
        )


def check_mask(paths: Iterable[str], kind: str, made: Message, fixed: Iterable[str], shown: str) -> None:
    """An update's mask: there must be one, of fields that there are and that may change; `shown` is an example."""
    given = list(paths)
    if not given:
        raise invalid(
            f"The update_mask in the Update{kind}Request must be set, and must contain a non-empty paths list."
        )
    for path in given:
        head = path.partition(".")[0]
        if head not in made.DESCRIPTOR.fields_by_name:
            words = shown.split("_")
            camel = words[0] + "".join(word.capitalize() for word in words[1:])
            raise invalid(
                f"Invalid update_mask provided in the Update{kind}Request: '{path}' is not a known {kind} field. Note "
                f"that field paths must be of the form '{shown}' rather than '{camel}'."
            )
        if head in fixed:
            raise invalid(
                f"Invalid update_mask provided in the Update{kind}Request: the '{head}' field in the {kind} is not "
                "mutable."
            )


def page(items: Iterable[Message], request: Message) -> tuple[list[Message], str]:
    """One page of what is listed by name."""
    check_page_size(request.page_size)
    return plain.page(items, request.page_size, request.page_token, lambda item: str(item.name))


def page_of_names(names: Iterable[str], request: Message) -> tuple[list[str], str]:
    """The same of bare names."""
    check_page_size(request.page_size)
    return plain.page(names, request.page_size, request.page_token, str)


def check_page_size(size: int) -> None:
    """Between 0, which means ours, and 1000."""
    if not 0 <= size <= MAX_PAGE:
        raise invalid(
            f"The value for page_size is out of bounds. You passed {size} in the request, but the value must be "
            f"between 0 and {MAX_PAGE}."
        )


def seconds(duration: Message) -> float:
    """A duration as a number."""
    return float(duration.seconds + duration.nanos / 1e9)


def spoken(value: float) -> str:
    """A duration as Pub/Sub's errors write it: `9m59s`, `744h`."""
    sign, nanos = ("-" if value < 0 else ""), round(abs(value) * 1e9)
    whole, fraction = divmod(nanos, 10**9)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    text = sign + (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    if fraction:
        return f"{text}{rest}.{f'{fraction:09}'.rstrip('0')}s"
    return f"{text}{rest}s" if rest or text == sign else text


def put_time(field: Message, when: float) -> None:
    """A moment, to the microsecond, as a Timestamp."""
    field.FromNanoseconds(math.floor(when * 1e6) * 1000)


def _letter(char: str) -> bool:
    return unicodedata.category(char) in ("Ll", "Lo")


def _fits(char: str) -> bool:
    return char in "_-" or unicodedata.category(char) in ("Ll", "Lo", "Nd", "Nl", "No")
