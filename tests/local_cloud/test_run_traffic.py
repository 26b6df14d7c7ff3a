"""Traffic of a service of Cloud Run: by percent and by tag, and which revision has it while another fails."""

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.run_client import NUMBER, Runner, done, http, to


@pins(
    "run",
    "The front door",
    "Traffic by percent, spread evenly (Google: at random), and by tag",
    documented="Rollouts",
    ours=True,
)
def test_traffic_is_split_by_percent_and_reached_by_tag(run: Runner) -> None:
    service = run.service("split", revision="split-a")
    service.traffic = [to("split-a", 100, "stable")]
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="split"))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    made.template.revision = "split-b"
    made.template.containers[0].env = [{"name": "NEW", "value": "1"}]
    made.traffic = [to("split-a", 75, "stable"), to("split-b", 25, "canary")]
    made = run.update(made)
    assert [s.uri for s in made.traffic_statuses] == [
        f"{run.place.rest}/run/{tag}---split-{NUMBER}.us-central1" for tag in ("stable", "canary")
    ]
    seen = [http(f"{made.uri}/env").json["env"]["K_REVISION"] for _ in range(40)]
    assert 8 <= seen.count("split-b") <= 12
    for tag, revision in (("stable", "split-a"), ("canary", "split-b")):
        url = f"{run.place.rest}/run/{tag}---split-{NUMBER}.us-central1/env"
        assert http(url).json["env"]["K_REVISION"] == revision
    # A rollback: the tag follows to the stable revision in one update of traffic alone.
    moved = run_v2.Service(name=made.name, traffic=[to("split-a", 100, "stable"), to("split-a", 0, "canary")])
    moved = run.update(moved, update_mask="traffic")
    assert moved.template.revision == "split-b", "a mask leaves the rest alone"
    assert http(url).json["env"]["K_REVISION"] == "split-a"
    assert http(f"{run.place.rest}/run/gone---split-{NUMBER}.us-central1/").status == 404


def test_traffic_that_names_a_revision_stays_with_the_ready_one_until_that_is_ready(run: Runner) -> None:
    made = run.create("named", revision="named-a")
    made = run.update(run_v2.Service(name=made.name, template=made.template, traffic=[to("named-a", 100, "stable")]))
    made.template.revision = "named-b"
    made.template.containers[0].env = [{"name": "FAIL_AT_START", "value": "1"}]
    made.traffic = [to("named-b", 100, "stable")]
    with pytest.raises(exceptions.FailedPrecondition, match=r"exit\(3\)"):
        run.update(made)
    kept = run.services.get_service(name=made.name)
    assert [status.revision for status in kept.traffic_statuses] == ["named-a"]
    assert http(made.uri).status == 200
