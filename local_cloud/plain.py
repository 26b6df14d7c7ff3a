"""A plain control plane: resources that are accepted, read back, changed and deleted, and do nothing else.

Owns the everyday law of such resources: names, NOT_FOUND and ALREADY_EXISTS, update masks, paging. APIs that behave
(queues, services) bring their own law and may still use `merge` and `page`.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid, not_found

T = TypeVar("T")


class Plain:
    """The resources of one kind (a full proto name), kept by their resource name."""

    def __init__(self, cloud: Cloud, kind: str, *, noun: str = "Resource") -> None:
        self.kind = kind
        self.noun = noun
        self.kept = cloud.store.messages(f"plain.{kind}", kind)

    def get(self, name: str) -> Message:
        """The resource; NOT_FOUND without it."""
        found = self.kept.get(name)
        if found is None:
            raise not_found(f"{self.noun} '{name}' not found.")
        return found

    def create(self, name: str, made: Message) -> Message:
        """Keep a new one; ALREADY_EXISTS when its name is taken."""
        if name in self.kept:
            raise already_exists(f"{self.noun} '{name}' already exists.")
        self.kept[name] = made
        return made

    def merged(self, name: str, wanted: Message, mask: Iterable[str] = ()) -> Message:
        """What an update would make of it: the fields of the mask from `wanted`, or all of it without one."""
        return merge(self.get(name), wanted, mask)

    def delete(self, name: str) -> Message:
        """Forget it, returning what it was."""
        found = self.get(name)
        del self.kept[name]
        return found

    def below(self, parent: str) -> list[Message]:
        """All whose name begins with the parent's, in the order of creation."""
        return [found for name, found in self.kept.items() if name.startswith(f"{parent}/")]


def merge(current: Message, wanted: Message, mask: Iterable[str]) -> Message:
    """A copy of `current` with the mask's fields of `wanted`; `*` or an empty mask takes all of `wanted`."""
    paths = [path for path in mask if path]
    made = type(current)()
    if not paths or "*" in paths:
        made.CopyFrom(wanted)
        return made
    made.CopyFrom(current)
    field_mask = message("google.protobuf.FieldMask")(paths=paths)
    if not field_mask.IsValidForDescriptor(current.DESCRIPTOR):
        wrong = [p for p in paths if not _one(p).IsValidForDescriptor(current.DESCRIPTOR)]
        raise invalid(f"Invalid field mask: {', '.join(wrong)} is no field of {current.DESCRIPTOR.name}.")
    for path in paths:
        if "." not in path and not current.DESCRIPTOR.fields_by_name[path].is_repeated:
            made.ClearField(path)  # a message that is missing in `wanted` is taken away
    field_mask.MergeMessage(wanted, made, True, True)
    return made


def _one(path: str) -> Any:
    return message("google.protobuf.FieldMask")(paths=[path])


def page(
    items: Iterable[T], size: int, token: str, key: Callable[[T], str], *, default: int = 100, most: int = 1000
) -> tuple[list[T], str]:
    """One page of what is listed by key: the items after the token's key, and the token of the next page."""
    if size < 0:
        raise invalid("Page size must not be negative.")
    ordered = sorted(items, key=key)
    if token:
        try:
            after = base64.urlsafe_b64decode(
                token.encode(),
            ).decode()
        except (ValueError, binascii.Error, UnicodeError):
            raise invalid("The page token is invalid.") from None
        ordered = [item for item in ordered if key(item) > after]
    taken = ordered[: min(size or default, most)]
    more = len(ordered) > len(taken)
    return taken, base64.urlsafe_b64encode(key(taken[-1]).encode()).decode() if more else ""


def newest_first(items: Iterable[Message], size: int, token: str) -> tuple[list[Message], str]:
    """One page of what is listed by when it was made, the newest before the others."""
    found = sorted(items, key=lambda item: item.create_time.ToNanoseconds(), reverse=True)
    order = {str(item.name): f"{index:08}" for index, item in enumerate(found)}
    return page(found, size, token, lambda item: order[str(item.name)])
