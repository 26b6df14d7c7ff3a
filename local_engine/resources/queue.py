"""``gcp:cloudtasks/queue:Queue``: a task queue, paused and resumed by a change of ``desiredState``.

As with the provider, a queue that somebody else paused or resumed has not drifted: an apply leaves it so.
"""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..resource_type import Defaults, Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, integer, name_part, number, required, text

_RETRY = {
    "maxAttempts": integer(),
    "maxBackoff": text(),
    "maxDoublings": integer(),
    "maxRetryDuration": text(),
    "minBackoff": text(),
}


class Queue(RestType):
    """A Cloud Tasks queue."""

    token = "gcp:cloudtasks/queue:Queue"
    endpoint = "cloudTasks"
    collection = "projects/{project}/locations/{location}/queues"
    given = frozenset({"purgeTime", "stats", "rateLimits.maxBurstSize"})
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "location": required(name_part()),
        "project": name_part(),
        "desiredState": text(virtual=True),
        "rateLimits": block({"maxConcurrentDispatches": integer(), "maxDispatchesPerSecond": number()}),
        "retryConfig": block(_RETRY),
        "stackdriverLoggingConfig": block({"samplingRatio": number(required=True)}),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """A retry duration of 0 s means no limit and is left out, as the provider does."""
        sent = super().body(cloud, inputs)
        if sent.get("retryConfig", {}).get("maxRetryDuration") == "0s":
            del sent["retryConfig"]["maxRetryDuration"]
        return sent

    def after_create(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """A queue starts RUNNING."""
        if inputs.get("desiredState") == "PAUSED":
            self._steer(cloud, identity, inputs)

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Settings by patch, the state by its own call."""
        if "desiredState" in changed:
            self._steer(cloud, identity, inputs)
        return super().update(cloud, identity, old, inputs, changed)

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """The state is the cloud's."""
        return {"state": live.get("state", "RUNNING")}

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """With the state that it is in."""
        found = super().declared(live, given)
        return found | ({"desiredState": live["state"]} if live.get("state") in ("RUNNING", "PAUSED") else {})

    @staticmethod
    def _steer(cloud: Cloud, identity: str, inputs: Inputs) -> None:
        verb = "pause" if inputs.get("desiredState") == "PAUSED" else "resume"
        cloud.call("cloudTasks", "POST", f"{identity}:{verb}")
