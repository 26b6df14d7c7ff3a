"""Cloud Monitoring: incidents, as the REST resource projects.alerts and as this cloud's own list for its owner.

Google has the resource in REST alone. Source: https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alerts.
"""

from typing import Any

from local_cloud.alerting.engine import Alerting
from local_cloud.alerting.incidents import Incident, alert
from local_cloud.alerting.listing import matching, ordered
from local_cloud.apis.monitoring import API
from local_cloud.cloud import Cloud
from local_cloud.errors import invalid, not_found
from local_cloud.logs.entries import rfc3339
from local_cloud.plain import page
from local_cloud.registry import Call, HttpRequest

DEFAULT_PAGE, MAX_PAGE = 50, 1000


def _project(request: HttpRequest) -> str:
    return f"projects/{request.params['project']}"


@API.route("GET", "/v3/projects/{project}/alerts", permission="monitoring.alerts.list", resource=_project)
async def list_alerts(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Alerts, the newest first unless another order is asked for."""
    cloud.canonical(_project(request))
    cloud.meter.catch_up()
    test = matching(request.arg("filter"))
    made = [alert(cloud.project, one) for one in cloud.use(Alerting).keeper.incidents.all.values()]
    order = request.arg("orderBy") or "openTime desc"
    found = ordered([one for one in made if test(one)], order, ("openTime", "closeTime"))
    at = {one["name"]: f"{index:08}" for index, one in enumerate(found)}
    size = request.arg("pageSize") or "0"
    if not size.lstrip("-").isdecimal():
        raise invalid(f"Invalid value at 'page_size' (TYPE_INT32), \"{size}\"")
    taken, token = page(
        found, max(0, int(size)), request.arg("pageToken"), lambda one: at[one["name"]],
        default=DEFAULT_PAGE, most=MAX_PAGE,
    )  # fmt: skip
    shown = {"alerts": taken} if taken else {}
    return shown | {"totalSize": len(found)} | ({"nextPageToken": token} if token else {})


@API.route("GET", "/v3/projects/{project}/alerts/{alert}", permission="monitoring.alerts.get", resource=_project)
async def get_alert(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One alert."""
    cloud.canonical(_project(request))
    cloud.meter.catch_up()
    found = cloud.use(Alerting).keeper.incidents.all.get(request.params["alert"])
    if found is None:
        raise not_found(f"Alert '{request.path.removeprefix('/v3/')}' not found.")
    return alert(cloud.project, found)


@API.route("GET", "/_sluice/incidents", owner_only=True)
async def incidents(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Incidents with what was told of them, the newest last; `state` is open or closed."""
    cloud.meter.catch_up()
    wanted = request.arg("state").lower()
    if wanted not in ("", "open", "closed"):
        raise invalid("state is open or closed.")
    found = sorted(cloud.use(Alerting).keeper.incidents.all.values(), key=lambda one: one.opened)
    return {"incidents": [_own(one) for one in found if not wanted or one.is_open == (wanted == "open")]}


def _own(one: Incident) -> dict[str, Any]:
    told = one.notice
    return {
        "id": one.id,
        "state": "open" if one.is_open else "closed",
        "opened": rfc3339(one.opened),
        "closed": rfc3339(one.closed) if one.closed else None,
        "why": one.why,
        "policy": told["policy_name"],
        "policy_name": one.policy,
        "condition": told["condition_name"],
        "severity": told["severity"],
        "user_labels": told["policy_user_labels"],
        "documentation": told["documentation"]["content"],
        "summary": told["summary"],
        "value": told.get("observed_value"),
        "threshold": told.get("threshold_value"),
        "metric": told["metric"],
        "resource": told["resource"],
        "labels": one.extracted,
    }
