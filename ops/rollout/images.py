"""Which images run: what the services have that have no release of their own, and what a revision was made of.

Loads nothing of the engine, since a rollback asks before it moves anything.
"""

from __future__ import annotations

from collections import Counter

from ops.errors import OpsError
from ops.place import Place


def base(place: Place) -> str:
    """The image of the services that have no release of their own: what an apply leaves as it is."""
    if place.config.image_digest is not None:
        return place.config.image_digest
    services = place.call("run", "GET", f"{place.parent}/services").get("services", ())
    own = {name for name, release in place.config.releases.items() if release.digest}
    images = Counter(
        str(service["template"]["containers"][0]["image"]).rpartition("@")[2]
        for service in services
        if str(service["name"]).rpartition("/")[2] not in own
    )
    if not images:
        raise OpsError(
            "no service is deployed",
            why="there is nothing beside which to roll out",
            fix="./sluice up" if place.local else f"pulumi up --stack {place.stack}",
        )
    return images.most_common(1)[0][0]


def of(place: Place, service: str, revision: str) -> str:
    """The image that a revision was made of."""
    found = place.call("run", "GET", f"{place.parent}/services/{service}/revisions/{revision}")
    return str(found["containers"][0]["image"]).rpartition("@")[2]


def own(place: Place, service: str, revision: str) -> str:
    """The same where it is another than the stack's, as `sluice:releases` says it; "" where not."""
    digest = of(place, service, revision)
    return "" if digest == base(place) else digest
