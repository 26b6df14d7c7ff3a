"""Who may not call the owner's door: web pages of other sites, and callers by a name that is not this machine's.

Owns the decision and its words. At that door a call without credentials is the owner's, and the owner can run commands
here; a browser would carry any page's calls to it. Sources: the Fetch Standard (Origin), Fetch Metadata (Sec-Fetch-*),
RFC 9110 section 7.2 (Host). Programs send no Origin, so nothing is asked of them but the name.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

#: Names of this machine and of Google's that nobody can point a page of his own at: the metadata server's, those that
#: containers have for their host, and what a client asks for that has the door as its proxy.
NAMES = frozenset({"localhost", "metadata", "metadata.google.internal", "169.254.169.254"})
CONTAINERS = frozenset({"host.docker.internal", "host.containers.internal"})
GOOGLES = ".googleapis.com"
REGISTRIES = "-docker.pkg.dev"


def refusal(headers: Iterable[tuple[bytes, bytes]], *, listens_on: str) -> str | None:
    """Why a request is refused, or None. `listens_on` is --host: beyond loopback the door goes by any name."""
    said = {name: value.decode("latin-1") for name, value in headers if name in _ASKED}
    name = _host_of(f"//{said.get(b'host', '')}")
    if name and not _is_known(name, listens_on):
        return (
            f"This door of the local cloud does not go by the name {name}: a web page may have pointed that name at "
            "this machine, and whoever calls here is the project's owner. Call it 127.0.0.1 or localhost; a cloud that "
            "is started with --host 0.0.0.0 goes by any name."
        )
    origin = said.get(b"origin")
    if origin is None:
        # A link that a person follows shows the page to that person alone.
        followed = said.get(b"sec-fetch-mode") == "navigate" and said.get(b"sec-fetch-dest") == "document"
        cross = said.get(b"sec-fetch-site") == "cross-site" and not followed
        return _PAGE.format("another site") if cross else None
    return None if is_local(origin) or _is_own(origin, name, listens_on) else _PAGE.format(origin or "nowhere")


def is_local(origin: str) -> bool:
    """Whether a page with this origin comes from this machine."""
    return origin.startswith(("http://", "https://")) and _is_loopback(_host_of(origin))


_ASKED = (b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
_PAGE = (
    "This door of the local cloud does not answer web pages of {}: whoever calls here is the project's owner, and may "
    "run commands on this machine. Pages that come from localhost or 127.0.0.1 may call, and programs that send no "
    "Origin."
)


@lru_cache(256)
def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return "?"


@lru_cache(256)
def _is_known(name: str, listens_on: str) -> bool:
    if not _is_loopback(listens_on) or _is_loopback(name) or name in NAMES or name in CONTAINERS:
        return True
    # gcloud puts REGION- before the host of its endpoint: us-central1-127.0.0.1. No name in the DNS ends so.
    return name.endswith((GOOGLES, REGISTRIES, "-127.0.0.1", "-localhost", f"-{listens_on}"))


def _is_own(origin: str, name: str, listens_on: str) -> bool:
    """A page of our own (a service's, at /run/): of an address that was called, which cannot be another's."""
    own = _host_of(origin)
    return own == name and (own == listens_on or _address(own) is not None)


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
