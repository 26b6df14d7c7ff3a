"""An alert on how fast a service-level objective's budget burns: real requests, real errors."""

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import NAME, Alerts, above, each
from tests.local_cloud.cloud_tasks.tasks_target import advance, call
from tests.local_cloud.run_client import Runner, http


@pins(
    "alerting",
    "Conditions",
    "A threshold on select_slo_burn_rate fires when requests fail faster than the objective bears",
    documented="Alerting on your burn rate",
)
def test_a_burning_budget_fires(alerts: Alerts, run: Runner) -> None:
    uri = run.create("pays").uri
    made = call(alerts.place, "POST", f"/v3/{NAME}/services?serviceId=pays", {"displayName": "pays", "custom": {}})
    path = 'metric.type="run.googleapis.com/request_count" resource.type="cloud_run_revision" '
    good = path + 'metric.labels.response_code_class="2xx"'
    bad = path + 'metric.labels.response_code_class="5xx"'
    indicator = {"requestBased": {"goodTotalRatio": {"goodServiceFilter": good, "badServiceFilter": bad}}}
    body = {"goal": 0.9, "rollingPeriod": "86400s", "serviceLevelIndicator": indicator}
    slo = call(alerts.place, "POST", f"/v3/{made['name']}/serviceLevelObjectives", body)["name"]
    for name, burn in (("burns", 2), ("burns, threshold too high", 20)):
        alerts.policy(name, above(f'select_slo_burn_rate("{slo}", "600s")', burn, each("NEXT_OLDER")))
    for _ in range(3):
        http(f"{uri}/")
        advance(alerts.place, 60)
    assert alerts.fired() == set()
    for _ in range(3):
        http(f"{uri}/needs-header")
        advance(alerts.place, 60)
    assert alerts.firing() == {"burns"}
    moved = call(alerts.place, "POST", "/_sluice/clock:advance", {"seconds": 7 * 86_400})
    assert alerts.firing() == set()
    assert moved["fired"] < 100
