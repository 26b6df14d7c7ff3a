"""One owner for a local stack: what the real engine made, this one does not touch.

The real provider labels all that it makes with ``goog-pulumi-provisioned``, this engine with ``sluice-provisioned``.
Secrets and Cloud Run services carry labels and exist in every stack that does anything, so they are asked. For the
other direction this engine claims the local cloud, which then refuses the provider's writes until nothing of a stack is
left.
"""

from __future__ import annotations

from typing import Final

from .cloud import Cloud
from .errors import ForeignOwnerError, NotFoundError
from .resource_type import Defaults

PULUMI_LABEL: Final = "goog-pulumi-provisioned"
#: What the local cloud tells whoever it refuses.
CLAIM: Final = {"by": "./sluice up", "free": "Run `./sluice down --erase`"}


def _places(given: Defaults) -> list[tuple[str, str, str]]:
    return [
        ("secretManager", f"projects/{given.project}/secrets", "secrets"),
        ("cloudRunV2", f"projects/{given.project}/locations/{given.region}/services", "services"),
    ]


def present(cloud: Cloud, given: Defaults) -> bool:
    """Whether there is a cloud to look at."""
    endpoint, path, _ = _places(given)[0]
    return cloud.answers(endpoint, path)


def refuse_foreign(cloud: Cloud, given: Defaults) -> None:
    """Raise where something in the cloud was made by the real engine."""
    if PULUMI_LABEL in cloud.attribution:
        return
    for endpoint, path, listed in _places(given):
        for thing in cloud.get(endpoint, path).get(listed, ()):
            if PULUMI_LABEL in thing.get("labels", {}):
                raise ForeignOwnerError(
                    f"{thing['name']} was made by `pulumi up`, so this local cloud is Pulumi's. "
                    "Run `pulumi destroy` there first, or use another SLUICE_HOME."
                )


def claim(cloud: Cloud, stack: str) -> None:
    """Say that the cloud is this engine's, once; a cloud that knows no claims is nobody's."""
    try:
        if stack not in cloud.control("GET", "deployers").get("deployers", {}):
            cloud.control("PUT", f"deployers/{stack}", CLAIM)
    except NotFoundError:
        return


def release(cloud: Cloud, stack: str) -> None:
    """Nothing of the stack is left: it is anybody's again."""
    try:
        cloud.control("DELETE", f"deployers/{stack}")
    except NotFoundError:
        return
