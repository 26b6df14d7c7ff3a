"""A new revision is asked before a payment meets it: whether it is ready, whether its door takes a task, how it is.

The task goes over a real queue to the canary's tag and effects nothing (`queues/probe`), which also reaches services
that take nothing from outside. /health is asked as the operator where he may call the service.
"""

from __future__ import annotations

import spec
from ops import rest
from ops.errors import CallFailed, OpsError
from ops.place import Place
from ops.queues.probe import Prober
from ops.rollout.state import Kind, Rollout
from spec.names import CANARY_TAG


def probe(place: Place, system: spec.System, rollout: Rollout) -> str:
    """Why a release is not fit to be tried; "" where it is, and for a route, whose both ways run already."""
    if rollout.kind is Kind.ROUTE:
        return ""
    return _unready(place, rollout) or _refuses(place, system, rollout.target) or _ill(place, system, rollout.target)


def _unready(place: Place, rollout: Rollout) -> str:
    """What Cloud Run says of the revision."""
    name = f"{place.parent}/services/{rollout.target}/revisions/{rollout.canary}"
    try:
        found = place.call("run", "GET", name)
    except CallFailed as error:
        if error.status == 404:
            return f"there is no revision {rollout.canary}"
        raise
    ready = [one for one in found.get("conditions", ()) if one.get("type") == "Ready"]
    if any(one.get("state") == "CONDITION_SUCCEEDED" for one in ready):
        return ""
    said = "; ".join(str(one["message"]) for one in ready if one.get("message"))
    return f"{rollout.canary} is not ready" + (f": {said}" if said else "")


def _refuses(place: Place, system: spec.System, service: str) -> str:
    """What its door says to a task."""
    queues = [queue.name for queue in system.queues_into(service)]
    if not queues:
        return ""
    prober = Prober(place, system, queues[:1], doors={service: place.url(service, CANARY_TAG)})
    trouble = prober.once(queues[0])
    return f"over {trouble.queue}: {trouble.why}" if trouble else ""


def _ill(place: Place, system: spec.System, service: str) -> str:
    """What it says of itself."""
    if not system.service(service).operator_paths:
        return ""
    operator = spec.names.account_email(spec.names.OPERATOR_ACCOUNT_ID, place.project)
    try:
        rest.call(
            "GET", place.url(service, CANARY_TAG) + "/health", headers=place.id_token(operator, place.url(service))
        )
    except OpsError as error:
        return str(error.what)
    return ""
