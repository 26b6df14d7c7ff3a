"""How an image is named, on the wire and in a deployment, and which repository that means.

`LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE[:TAG][@DIGEST]` is Google's. On loopback the host is the local
cloud's (`127.0.0.1:PORT/PROJECT/REPOSITORY/IMAGE`): the location is then the one that has the repository, the home
region first; or it stands before the project (`127.0.0.1:PORT/us-central1-docker.pkg.dev/PROJECT/...`).
Sources: https://cloud.google.com/artifact-registry/docs/docker/names, the OCI distribution specification 1.1.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

HOST = re.compile(r"([a-z0-9-]+)-docker\.pkg\.dev")
#: A path below /v2/ that is a registry's: what is asked of which name.
SHAPE = re.compile(
    r"/v2/(?P<name>.+?)/(?:"
    r"(?P<uploads>blobs/uploads)(?:/(?P<upload>[^/]*))?|blobs/(?P<blob>[^/]+)|manifests/(?P<reference>[^/]+)|"
    r"(?P<tags>tags/list)|referrers/(?P<referrers>[^/]+))/?"
)
#: First words of resource names: paths with these below /v2/ are other APIs' (Cloud Run, Cloud Tasks, Logging).
COLLECTIONS = frozenset({"projects", "organizations", "folders", "billingAccounts"})
#: Paths below /v2/ that are the registry's beside images.
OWN = frozenset({"/v2", "/v2/", "/v2/token", "/v2/_catalog"})

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
#: A name, host and all, has at most so many characters.
MAX_NAME = 255


class NameWrongError(ValueError):
    """The text is no name of an image."""


@dataclass(frozen=True, slots=True)
class Path:
    """A name on the wire: where it is said to lie ("" where nothing is said), project, repository, image."""

    location: str
    project: str
    repository: str
    image: str


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that a deployment names."""

    path: Path
    tag: str
    digest: str


def is_registrys(scope: Mapping[str, Any]) -> bool:
    """Whether a request below /v2/ is the registry's.

    By a registry's host all are. By any other, those with a registry's shape whose first word is no collection of
    resources: no project can be reached as a registry by the name `projects`.
    """
    path: str = scope["path"]
    if path in OWN or HOST.fullmatch(host_of(scope)):
        return True
    return path[len("/v2/") :].partition("/")[0] not in COLLECTIONS and SHAPE.fullmatch(path) is not None


def host_of(scope: Mapping[str, Any]) -> str:
    """The name that the request was sent to, without its port."""
    raw = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return str(raw.decode("latin-1")).partition(":")[0].lower()


def parse(name: str, location: str = "") -> Path:
    """A name on the wire: [LOCATION-docker.pkg.dev/]PROJECT/REPOSITORY/IMAGE, the image with slashes of its own."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise NameWrongError(name)
    parts = name.split("/")
    if match := HOST.fullmatch(parts[0]):
        location, parts = match[1], parts[1:]
    if len(parts) > 3 and "." in parts[0]:  # a project of a domain: example.com/project
        parts = [f"{parts[0]}:{parts[1]}", *parts[2:]]
    if len(parts) < 3:
        raise NameWrongError(name)
    return Path(location, parts[0], parts[1], "/".join(parts[2:]))


def reference(text: str, own: Iterable[str]) -> Reference | None:
    """An image as a deployment names it; None where it is none of a registry that is known here.

    `own` are the addresses of the local cloud's doors.
    """
    name, _, digest = text.partition("@")
    if digest and not DIGEST.fullmatch(digest):
        return None
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    host, _, path = f"{head}{slash}{last}".partition("/")
    match = HOST.fullmatch(host)
    if not (match or host in own) or (tag and not TAG.fullmatch(tag)):
        return None
    try:
        return Reference(parse(path, match[1] if match else ""), tag or ("" if digest else "latest"), digest)
    except NameWrongError:
        return None


def package_id(image: str) -> str:
    """An image's name as it stands in resource names."""
    return quote(image, safe="")


def image_of(package: str) -> str:
    """An image's name from the last part of a package's name."""
    return unquote(package)
