"""The kinds of notification channels: one module each, found by listing the folder.

A module has a `KIND`; its `deliver` sends one notification and says where to, or raises Undelivered. Labels and names
are those of Google's channel descriptors (https://cloud.google.com/monitoring/alerts/using-channels-api).
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client


class Undelivered(Exception):
    """A notification could not be delivered; `again` says whether another attempt may help."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


Deliver = Callable[[Cloud, Client, Message, dict[str, Any]], Awaitable[str]]


@dataclass(frozen=True)
class Label:
    """A label of a channel."""

    key: str
    text: str
    required: bool = True
    #: Not shown again when it is read.
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of channel."""

    type: str
    name: str
    text: str
    labels: tuple[Label, ...]
    deliver: Deliver
    #: Whether a code must be sent and given back before it is used.
    verified: bool = False
    #: What is to be known of the local cloud's way with it.
    warning: str = ""


def _discover() -> dict[str, Kind]:
    found = {}
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if isinstance(kind, Kind):
            found[kind.type] = kind
    return found


KINDS = _discover()
