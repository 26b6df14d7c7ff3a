"""One owner for a local stack: what the real engine made, this one does not touch.

The real provider labels all that it makes with ``goog-pulumi-provisioned``, this engine with ``sluice-provisioned``.
Secrets and Cloud Run services carry labels and exist in every stack that does anything, so they are asked. The other
direction is weaker: ``pulumi up`` against a cloud that this engine filled fails at its first create, since the names
exist (docs/adr/in-process-engine.md).
"""

from __future__ import annotations

from typing import Final

from .cloud import Cloud
from .errors import ForeignOwnerError
from .resource_type import Defaults

PULUMI_LABEL: Final = "goog-pulumi-provisioned"


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
