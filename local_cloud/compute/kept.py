"""What is kept of Compute: JSON resources by their path, with ids, links, fingerprints, and the operations on them.

Paths are as in links, from the project on (`projects/P/regions/R/subnetworks/S`). Every operation is DONE when it is
answered; one that fails says so in its `error`, as Google's does for what it finds out late (conflicts, uses).
Source: https://cloud.google.com/compute/docs/reference/rest/v1.
"""

import base64
import datetime
import hashlib
import secrets
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.compute import ranges
from local_cloud.errors import ApiError
from local_cloud.registry import Call

#: A resource's JSON.
Json = dict[str, Any]

LINKS = "https://www.googleapis.com/compute/v1/"
#: Finished operations that are kept.
MOST_OPERATIONS = 1000
#: The collections by their last but one path segment, with what a resource of them is called.
KINDS = {
    "networks": "network",
    "subnetworks": "subnetwork",
    "addresses": "address",
    "routers": "router",
    "routes": "route",
}


class OperationError(Exception):
    """What an operation finds out late: it ends with this error, and the call itself was well."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


class Compute:
    """The resources of the project."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.kept = {kind: cloud.store.json(f"compute.{kind}") for kind in KINDS}
        self.operations = cloud.store.json("compute.operations")

    # Reading

    def get(self, path: str) -> Json:
        """A resource by its path; 404 without it."""
        found = self.kept[path.split("/")[-2]].get(path)
        if found is None:
            raise missing(path)
        made: Json = found
        return made

    def below(self, parent: str, kind: str) -> list[Json]:
        """The resources of a kind whose path begins with the parent's, by name."""
        found = [(path, one) for path, one in self.kept[kind].items() if path.startswith(f"{parent}/")]
        return [one for _, one in sorted(found)]

    def users(self, network: str) -> Iterable[str]:
        """The paths of what stands in a network."""
        from local_cloud.compute.peering import Peerings

        link = self.link(network)
        for kind in ("subnetworks", "addresses", "routers"):
            for path, one in self.kept[kind].items():
                if one.get("network") == link:
                    yield path
        yield from self._cloud.use(Peerings).users(network)

    def taken(self, network: str, *, but: str = "") -> list[tuple[str, ranges.Network]]:
        """Every range of a network with the path of who has it."""
        found = []
        link = self.link(network)
        for path, one in self.kept["subnetworks"].items():
            if one["network"] == link and path != but:
                given = [one["ipCidrRange"], *(s["ipCidrRange"] for s in one.get("secondaryIpRanges", ()))]
                found += [(path, ranges.Network(text)) for text in given]
        for path, one in self.kept["addresses"].items():
            if one.get("network") == link and one.get("prefixLength"):
                found.append((path, ranges.Network(f"{one['address']}/{one['prefixLength']}")))
        return found

    def link(self, path: str) -> str:
        """The full link of a path."""
        return LINKS + path

    def path(self, given: str) -> str:
        """The path behind a full or partial link, with the project's id."""
        start = given.find("projects/")
        return self._cloud.canonical(given[start:]) if start >= 0 else f"projects/{self._cloud.project}/{given}"

    # Changing

    def add(self, path: str, made: Json) -> Json:
        """Keep a new resource, completed with what every one has; 409 when its name is taken."""
        collection = self.kept[path.split("/")[-2]]
        if path in collection:
            raise ApiError("ALREADY_EXISTS", f"The resource '{path}' already exists")
        kind = KINDS[path.split("/")[-2]]
        complete = {"kind": f"compute#{kind}", "id": self._number(), "creationTimestamp": self.stamp()}
        complete |= made | {"selfLink": self.link(path), "selfLinkWithId": ""}
        complete["selfLinkWithId"] = self.link(f"{path.rpartition('/')[0]}/{complete['id']}")
        collection[path] = complete
        self.save(path)
        return complete

    def save(self, path: str) -> None:
        """Write a resource that was changed, under a new fingerprint."""
        collection = self.kept[path.split("/")[-2]]
        made = collection[path]
        if path.split("/")[-2] != "routes":
            made["fingerprint"] = fingerprint({k: v for k, v in made.items() if k != "fingerprint"})
        if "labels" in made or path.split("/")[-2] == "addresses":
            made["labelFingerprint"] = fingerprint(made.get("labels", {}))
        collection.save(path)

    def remove(self, path: str) -> None:
        """Forget a resource."""
        self.get(path)
        self.kept[path.split("/")[-2]].pop(path)

    def operate(self, call: Call, kind: str, path: str, work: Callable[[], object]) -> Json:
        """Do the work and answer with the operation that it was, done or failed."""
        error: OperationError | None = None
        try:
            work()
        except OperationError as raised:
            error = raised
        parts = path.split("/")
        scope = "/".join(parts[:4] if parts[2] == "regions" else parts[:3])
        name = f"operation-{int(self._cloud.now() * 1000)}-{secrets.token_hex(8)}"
        made: Json = {
            "kind": "compute#operation",
            "id": self._number(),
            "name": name,
            "operationType": kind,
            "targetLink": self.link(path),
            "status": "DONE",
            "user": call.principal.email,
            "progress": 100,
            "selfLink": self.link(f"{scope}/operations/{name}"),
        }
        made |= dict.fromkeys(("insertTime", "startTime", "endTime"), self.stamp())
        if parts[2] == "regions":
            made["region"] = self.link(scope)
        target = self.kept[parts[-2]].get(path)
        if target is not None:
            made["targetId"] = target["id"]
        if error is not None:
            made["error"] = {"errors": [{"code": error.code, "message": error.text}]}
            made |= {"httpErrorStatusCode": error.status, "httpErrorMessage": "BAD REQUEST"}
        self.operations[f"{scope}/operations/{name}"] = made
        for old in list(islice(self.operations, max(0, len(self.operations) - MOST_OPERATIONS))):
            self.operations.pop(old)
        return made

    def stamp(self) -> str:
        """The time as Compute writes it."""
        now = datetime.datetime.fromtimestamp(self._cloud.now(), datetime.UTC)
        return now.isoformat(timespec="milliseconds")

    def _number(self) -> str:
        return str(10**18 + secrets.randbelow(8 * 10**18))


def fingerprint(content: Json) -> str:
    """Eight bytes that change with the content."""
    digest = hashlib.sha256(repr(sorted(content.items())).encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def check_fingerprint(current: Json, given: Json, field: str = "fingerprint") -> None:
    """412 where somebody else changed the resource meanwhile."""
    if given.get(field) and given[field] != current.get(field):
        what = "Labels fingerprint" if field == "labelFingerprint" else "Supplied fingerprint"
        text = f"{what} either invalid or resource has changed"
        raise ApiError("FAILED_PRECONDITION", text, status=412)


def missing(path: str) -> ApiError:
    """404 in Compute's words."""
    return ApiError("NOT_FOUND", f"The resource '{path}' was not found")
