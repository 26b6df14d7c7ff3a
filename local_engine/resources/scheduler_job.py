"""``gcp:cloudscheduler/job:Job``: a cron job that calls a URL as an account."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import Any, ClassVar, Final

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Defaults, Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, flag, integer, labels, name_part, text

_OIDC = block({"audience": text(), "serviceAccountEmail": text(required=True)})
_HTTP = {"uri": text(required=True), "httpMethod": text(), "body": text(), "headers": labels(), "oidcToken": _OIDC}
#: Headers that Google adds to a job by itself.
_ADDED: Final = {"User-Agent": "Google-Cloud-Scheduler", "Content-Type": "application/octet-stream"}
_RETRY = {
    "maxBackoffDuration": text(),
    "maxDoublings": integer(),
    "maxRetryDuration": text(),
    "minBackoffDuration": text(),
    "retryCount": integer(),
}


class SchedulerJob(RestType):
    """A Cloud Scheduler job."""

    token = "gcp:cloudscheduler/job:Job"
    endpoint = "cloudScheduler"
    collection = "projects/{project}/locations/{region}/jobs"
    masked = False
    given = frozenset({"userUpdateTime", "scheduleTime", "lastAttemptTime", "status"})
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "region": name_part(),
        "project": name_part(),
        "description": text(),
        "schedule": text(),
        "timeZone": text(),
        "attemptDeadline": text(),
        "httpTarget": block(_HTTP),
        "retryConfig": block(_RETRY),
        "paused": flag(virtual=True),
    }

    def after_create(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """The provider states the state after every create."""
        self._steer(cloud, identity, inputs)

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Settings by patch, the state by its own call."""
        if "paused" in changed or "state" in changed:
            self._steer(cloud, identity, inputs)
        return super().update(cloud, identity, old, inputs, changed)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Settings, and whether somebody paused or resumed it."""
        found = super().drift(cloud, inputs, live)
        wanted = "PAUSED" if inputs.get("paused") else "ENABLED"
        if live.get("state", wanted) != wanted:
            found.append(Change(path="state", kind="update", old=live["state"], new=wanted, drift=True))
        return found

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """The state is the cloud's."""
        return {"state": live.get("state", "ENABLED")}

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """With the state that it is in."""
        found = super().declared(live, given) | ({"paused": True} if live.get("state") == "PAUSED" else {})
        target = found.get("httpTarget", {})
        if "headers" in target:  # the provider does not see those that Google adds either
            target["headers"] = {name: value for name, value in target["headers"].items() if _ADDED.get(name) != value}
        return found

    def _steer(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        cloud.call(self.endpoint, "POST", f"{identity}:{'pause' if inputs.get('paused') else 'resume'}")
