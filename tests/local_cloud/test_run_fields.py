"""Every field of a service, one by one: acted upon (elsewhere), kept and read back, or refused with words."""

from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.cloud.run_v2.services.worker_pools.transports import WorkerPoolsGrpcTransport

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.run_client import IMAGE, Runner, done, http

#: What is kept as it was sent and does nothing here, by the part of the service that has it.
KEPT: dict[str, dict[str, Any]] = {
    "service": {
        "description": "what it is for",
        "labels": {"team": "payments"},
        "annotations": {"example.com/note": "kept"},
        "client": "gcloud",
        "client_version": "528.0.0",
        "launch_stage": "BETA",
        "binary_authorization": {"use_default": True, "breakglass_justification": "none"},
        "custom_audiences": ["mine"],
        "threat_detection_enabled": True,
    },
    "template": {
        "labels": {"of": "revision"},
        "annotations": {"example.com/of": "revision"},
        "vpc_access": {"connector": "projects/p/locations/l/connectors/c", "egress": "ALL_TRAFFIC"},
        "execution_environment": "EXECUTION_ENVIRONMENT_GEN2",
        "encryption_key": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "encryption_key_revocation_action": "PREVENT_NEW",
        "service_mesh": {"mesh": "projects/p/locations/global/meshes/m"},
        "node_selector": {"accelerator": "nvidia-l4"},
        "gpu_zonal_redundancy_disabled": True,
    },
    "container": {
        "name": "app",
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "cpu_idle": True, "startup_cpu_boost": True},
        "depends_on": ["sidecar"],
        "base_image_uri": "us-docker.pkg.dev/base/image",
    },
}


@pins(
    "run",
    "Services and revisions",
    "Fields that nothing here acts upon are kept on service and revision as they were sent",
    ours="no network, key or GPU of Google's",
)
def test_every_field_that_does_nothing_is_kept(run: Runner) -> None:
    container = {"image": IMAGE, "ports": [{"container_port": 9000}], **KEPT["container"]}
    sidecar = {"image": IMAGE, "name": "sidecar"}
    template = {"containers": [container, sidecar], "service_account": run.account("tiny-runner"), **KEPT["template"]}
    sent = run_v2.Service(template=template, **KEPT["service"])
    made = done(run.services.create_service(parent=PARENT, service=sent, service_id="kept"))
    for field in KEPT["service"]:
        assert getattr(made, field) == getattr(sent, field), field
    revision = run.revisions.get_revision(name=made.latest_ready_revision)
    for field in KEPT["template"]:
        assert getattr(made.template, field) == getattr(sent.template, field), field
        if field not in ("labels", "annotations"):
            assert getattr(revision, field) == getattr(sent.template, field), field
    for field in KEPT["container"]:
        assert getattr(revision.containers[0], field) == getattr(sent.template.containers[0], field), field
    assert run.update(made).template == made.template, "what is read can be sent again"


@pins(
    "run",
    "Services and revisions",
    "What would have to be pretended is refused with its field: IAP, several regions, source code",
    ours="a caller may rely on it",
)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"iap_enabled": True}, "no Identity-Aware Proxy"),
        ({"multi_region_settings": {"regions": ["us-central1", "us-east1"]}}, "one region"),
        ({"description": "x" * 513}, "at most 512 characters"),
        ({"annotations": {"run.googleapis.com/ingress": "all"}}, "the system's own"),
        ({"template": {"annotations": {"autoscaling.knative.dev/maxScale": "3"}}}, "the system's own"),
        ({"container": {"source_code": {"cloud_storage_source": {"bucket": "b", "object_": "o"}}}}, "builds nothing"),
        ({"container": {"resources": {"limits": {"cpu": "3"}}}}, "1, 2, 4, 6 or 8 CPUs"),
        ({"container": {"resources": {"limits": {"cpu": "4", "memory": "1Gi"}}}}, "at least 2Gi of memory"),
        ({"container": {"resources": {"limits": {"cpu": "1", "memory": "8Gi"}}}}, "at least 2 CPU"),
        ({"container": {"resources": {"limits": {"memory": "64Mi"}}}}, "between 128Mi and 32Gi"),
        ({"container": {"ports": [{"name": "grpc", "container_port": 80}]}}, "http1 or h2c"),
        (
            {
                "container": {"resources": {"limits": {"cpu": "0.5"}}},
                "template": {"max_instance_request_concurrency": 2},
            },
            "must be 1 where a container has less than 1 CPU",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(run: Runner, change: dict[str, Any], said: str) -> None:
    container = {"image": IMAGE, **change.pop("container", {})}
    template = {"containers": [container], **change.pop("template", {})}
    with pytest.raises(exceptions.InvalidArgument, match="Violation in CreateServiceRequest") as refused:
        run.services.create_service(
            parent=PARENT, service=run_v2.Service(template=template, **change), service_id="refused"
        )
    assert said in refused.value.message


@pins(
    "run",
    "Services and revisions",
    "Less than one CPU: one request at a time unless said otherwise",
    documented="CPU limits",
)
def test_a_small_cpu_takes_one_request_at_a_time(run: Runner) -> None:
    container = {"image": IMAGE, "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}}}
    service = run_v2.Service(template={"containers": [container]})
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="small"))
    assert made.template.max_instance_request_concurrency == 1


@pins(
    "run",
    "Services and revisions",
    "health_check_disabled: ready without an instance having been seen to serve",
    documented="RevisionTemplate.health_check_disabled",
)
def test_a_deployment_may_do_without_its_health_check(run: Runner) -> None:
    made = run.create("unchecked", env=[{"name": "FAIL_AT_START", "value": "1"}], health_check_disabled=True)
    assert made.terminal_condition.state == run_v2.Condition.State.CONDITION_SUCCEEDED
    assert http(made.uri).status == 503


@pins(
    "run",
    "Services and revisions",
    "A command takes the place of the image's entry point, in its working directory",
    documented="Container.command, working_dir",
)
def test_a_services_command_replaces_the_entry_point(run: Runner, tmp_path: Any) -> None:
    container = {
        "image": IMAGE,
        "command": ["python", "-c", "import sys, tiny_app; tiny_app.main()"],
        "args": ["own", "words"],
        "working_dir": str(tmp_path),
    }
    service = run_v2.Service(template={"containers": [container]})
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="commanded"))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    assert http(f"{made.uri}/env").json["argv"][1:] == ["own", "words"]


@pins(
    "run",
    "Services and revisions",
    "Worker pools, instances and builds answer UNIMPLEMENTED by name, over gRPC and REST",
    ours="nothing of the system uses them",
)
def test_worker_pools_and_builds_are_unimplemented_by_name(run: Runner) -> None:
    pools = run_v2.WorkerPoolsClient(transport=WorkerPoolsGrpcTransport(channel=run.channel))
    with pytest.raises(exceptions.MethodNotImplemented, match="WorkerPools") as refused:
        pools.get_worker_pool(name=f"{PARENT}/workerPools/p")
    assert isinstance(refused.value.__cause__, grpc.RpcError)
    answer = http(f"{run.place.rest}/v2/{PARENT}/builds:submit", method="POST", body=b"{}")
    assert (answer.status, answer.json["error"]["status"]) == (501, "UNIMPLEMENTED")


@pins(
    "run",
    "Services and revisions",
    "Services and revisions are listed in pages, revisions newest first",
    documented="ListServices, ListRevisions",
)
def test_services_and_revisions_are_listed_in_pages(run: Runner) -> None:
    made = run.create("paged", revision="paged-a")
    for letter in "bc":
        made.template.revision = f"paged-{letter}"
        made.template.containers[0].env = [{"name": "V", "value": letter}]
        made = run.update(made)
    pages = run.revisions.list_revisions(request={"parent": made.name, "page_size": 2}).pages
    found = [[revision.name.rpartition("/")[2] for revision in page.revisions] for page in pages]
    assert found == [["paged-c", "paged-b"], ["paged-a"]]
    names = {service.name for service in run.services.list_services(request={"parent": PARENT, "page_size": 1})}
    assert names == {service.name for service in run.services.list_services(parent=f"{PARENT[: -len('us-central1')]}-")}
    with pytest.raises(exceptions.InvalidArgument, match="page token"):
        list(run.services.list_services(request={"parent": PARENT, "page_token": "x"}))
