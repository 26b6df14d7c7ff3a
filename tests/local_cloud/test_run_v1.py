"""Cloud Run v1 over HTTP: Knative's objects are the v2 resources seen from another side."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, inside
from tests.local_cloud.run_client import IMAGE, NUMBER, Answer, Runner, http, runner

SPACE = f"/apis/serving.knative.dev/v1/namespaces/{PROJECT}"
JOBS = f"/apis/run.googleapis.com/v1/namespaces/{PROJECT}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("run")
    with inside(folder / "state") as place, runner(place, folder / "image") as made:
        yield made


def call(run: Runner, verb: str, path: str, body: Any = None, region: str = LOCATION, **headers: str) -> Answer:
    """A call as gcloud makes it: the region stands in the host's name."""
    data = None if body is None else json.dumps(body).encode()
    host = {"Host": f"{region}-run.googleapis.com"} if region else {}
    return http(run.place.rest + path, method=verb, body=data, headers=host | headers)


def ok(run: Runner, verb: str, path: str, body: Any = None, region: str = LOCATION) -> Any:
    answer = call(run, verb, path, body, region)
    assert answer.status == 200, answer.body
    return answer.json


def knative(name: str, **container: Any) -> dict[str, Any]:
    """A service as YAML files and Terraform's google_cloud_run_service write it."""
    spec = {"containers": [{"image": IMAGE, **container}]}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": PROJECT},
        "spec": {"template": {"spec": spec}},
    }


@pins(
    "run", "The v1 surface and gcloud", "A Knative service and the v2 service are one", documented="Service of run v1"
)
def test_service_made_in_v1_reads_back_in_both(run: Runner) -> None:
    account, secret = run.account("maker-of-v1"), run.add_secret("V1_KEY", b"words")
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    wanted = knative(
        "both",
        env=[{"name": "A", "value": "1"}, {"name": "K", "valueFrom": {"secretKeyRef": {"name": "V1_KEY", "key": "1"}}}],
        startupProbe={"httpGet": {"path": "/env"}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 9},
        resources={"limits": {"cpu": "2", "memory": "1Gi"}},
        volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
    )
    about, template = wanted["metadata"], wanted["spec"]["template"]
    about["annotations"] = {"run.googleapis.com/ingress": "all", "run.googleapis.com/description": "two sides"}
    about["labels"] = {"team": "pay", "cloud.googleapis.com/location": LOCATION}
    template["metadata"] = {
        "annotations": {"autoscaling.knative.dev/maxScale": "7", "run.googleapis.com/cpu-throttling": "false"}
    }
    volume = {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}
    template["spec"] |= {"serviceAccountName": account, "timeoutSeconds": 9, "containerConcurrency": 3}
    template["spec"]["volumes"] = [volume]
    made = ok(run, "POST", f"{SPACE}/services", wanted)
    assert made["status"]["conditions"][0] | {"lastTransitionTime": ""} == {
        "type": "Ready", "status": "Unknown", "lastTransitionTime": "",
    }  # fmt: skip
    kept = run.services.get_service(name=f"{PARENT}/services/both")
    [container] = kept.template.containers
    assert (kept.description, dict(kept.labels)) == ("two sides", {"team": "pay"})
    assert (kept.template.service_account, kept.template.timeout.seconds) == (account, 9)
    assert (kept.template.scaling.max_instance_count, kept.template.max_instance_request_concurrency) == (7, 3)
    assert [(e.name, e.value, e.value_source.secret_key_ref.secret) for e in container.env] == [
        ("A", "1", ""), ("K", "", "V1_KEY"),
    ]  # fmt: skip
    assert (container.startup_probe.http_get.path, container.resources.cpu_idle) == ("/env", False)
    assert kept.template.volumes[0].empty_dir.size_limit == "16Mi"
    shown = ok(run, "GET", f"{SPACE}/services/both")
    assert {c["type"]: c["status"] for c in shown["status"]["conditions"]} == {
        "Ready": "True", "ConfigurationsReady": "True", "RoutesReady": "True",
    }  # fmt: skip
    assert shown["metadata"]["namespace"] == NUMBER
    assert shown["status"]["url"] == kept.uri
    [target] = shown["status"]["traffic"]
    revision = kept.latest_ready_revision.rpartition("/")[2]
    assert target == {"revisionName": revision, "percent": 100, "latestRevision": True}
    spec = shown["spec"]["template"]["spec"]
    assert spec["volumes"] == [volume]
    assert spec["containers"][0]["env"] == wanted["spec"]["template"]["spec"]["containers"][0]["env"]
    assert shown["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/maxScale"] == "7"


@pins("run", "The v1 surface and gcloud", "A v2 service put back unchanged makes no revision", ours="one truth")
def test_what_v2_alone_can_say_survives_a_write_of_v1(run: Runner) -> None:
    secret = run.add_secret("LONG_NAME", b"x")
    account = run.account("keeper")
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    env = [{"name": "K", "value_source": {"secret_key_ref": {"secret": secret, "version": "1"}}}]
    before = run.create("kept", env=env, service_account=account)
    shown = ok(run, "GET", f"{SPACE}/services/kept")
    shown["spec"]["traffic"] = [{"revisionName": shown["status"]["latestReadyRevisionName"], "percent": 100}]
    ok(run, "PUT", f"{SPACE}/services/kept", shown)
    after = run.services.get_service(name=before.name)
    assert after.template == before.template, "the secret's long name too"
    assert after.latest_created_revision == before.latest_created_revision
    assert after.traffic[0].revision == before.latest_ready_revision.rpartition("/")[2]
    assert after.generation == before.generation + 1
    changed = ok(run, "GET", f"{SPACE}/services/kept")
    changed["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "NEW", "value": "1"})
    ok(run, "PUT", f"{SPACE}/services/kept", changed)
    assert run.services.get_service(name=before.name).latest_created_revision != before.latest_created_revision


@pins("run", "The v1 surface and gcloud", "A stale resourceVersion is ABORTED", observed="Conflict for resource ...")
def test_change_of_what_somebody_else_has_changed_is_refused(run: Runner) -> None:
    ok(run, "POST", f"{SPACE}/services", knative("raced"))
    first = ok(run, "GET", f"{SPACE}/services/raced")
    ok(run, "PUT", f"{SPACE}/services/raced", first)
    late = call(run, "PUT", f"{SPACE}/services/raced", first)
    assert (late.status, late.json["error"]["status"]) == (409, "ABORTED")
    assert "was specified but current version is" in late.json["error"]["message"]


def changed(path: str, value: Any) -> dict[str, Any]:
    body = knative("wrong")
    *above, last = path.split(".")
    place: Any = body
    for part in above:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[last] = value
    return body


@pins(
    "run", "The v1 surface and gcloud", "Refusals name v1's own fields, in Google's envelope", observed="issue threads"
)
@pytest.mark.parametrize(
    ("path", "value", "field", "said"),
    [
        ("kind", "Job", "kind", "must be 'Service'"),
        ("apiVersion", "v1", "apiVersion", "must be 'serving.knative.dev/v1'"),
        ("metadata.name", "", "metadata.name", "a name is required"),
        ("metadata.name", "Upper", "metadata.name", "lower-case"),
        ("metadata.namespace", "other", "metadata.namespace", "must be the project's id or number"),
        ("spec.template.metadata.name", "x-1", "spec.template.metadata.name", "prefixed"),
        ("spec.template.spec.timeoutSeconds", 4000, "spec.template.spec.timeoutSeconds", "between 1s and 3600s"),
        ("spec.template.spec.containers", [], "spec.template.spec.containers", "at least one container"),
        ("spec.template.spec.containers.0.image", "", "spec.template.spec.containers[0].image", "needs an image"),
        ("spec.traffic", [{"revisionName": "wrong-x", "percent": 100}], "spec.traffic[0].revisionName", "not exist"),
        ("spec.traffic", [{"latestRevision": True, "percent": 9}], "spec.traffic", "must sum to 100"),
        (
            "spec.template.metadata.annotations",
            {"autoscaling.knative.dev/maxScale": "many"},
            "spec.template.metadata.annotations[autoscaling.knative.dev/maxScale]",
            "whole number",
        ),
        ("metadata.annotations", {"run.googleapis.com/ingress": "x"}, "metadata.annotations[run", "must be one of all"),
        ("spec.nonsense", 1, "service.spec", 'Unknown name "nonsense"'),
        ("spec.template.spec.containers", "x", "service.spec.template.spec.containers", "Invalid value"),
        ("spec.template.spec.timeoutSeconds", 2**40, "service.spec.template.spec.timeoutSeconds", "TYPE_INT32"),
    ],
)
def test_wrong_service_is_refused_by_its_field(run: Runner, path: str, value: Any, field: str, said: str) -> None:
    answer = call(run, "POST", f"{SPACE}/services", changed(path, value))
    assert answer.status == 400
    error = answer.json["error"]
    [violation] = error["details"][0]["fieldViolations"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert violation["field"].startswith(field)
    assert said in violation["description"]
    assert call(run, "GET", f"{SPACE}/services/wrong").status == 404


@pins(
    "run", "The v1 surface and gcloud", "The region is the host's; without one lists hold all", documented="endpoints"
)
def test_regions_are_told_apart_by_the_hosts_name(run: Runner) -> None:
    ok(run, "POST", f"{SPACE}/services", knative("far"), region="europe-west1")

    def names(region: str, path: str = f"{SPACE}/services") -> set[str]:
        return {each["metadata"]["name"] for each in ok(run, "GET", path, region=region)["items"]}

    assert names("europe-west1") == {"far"}
    assert "far" not in names(LOCATION)
    assert "far" in names("")
    assert "far" in names("", f"/v1/projects/{PROJECT}/locations/-/services")
    assert names("", f"/v1/projects/{PROJECT}/locations/europe-west1/services") == {"far"}
    assert call(run, "GET", f"{SPACE}/services/far").status == 404
    deleted = ok(run, "DELETE", f"{SPACE}/services/far", region="europe-west1")
    assert (deleted["status"], deleted["details"]["name"]) == ("Success", "far")


@pins(
    "run", "The v1 surface and gcloud", "The door takes calls meant for a proxy", ours="gcloud run names no other way"
)
def test_call_for_a_proxy_is_answered_for_the_host_that_it_names(run: Runner) -> None:
    host = f"{LOCATION}-127.0.0.1:{run.place.ports['rest']}"
    answer = raw(run, f"GET http://{host}{SPACE}/services/nobody HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404")
    assert f"in region '{LOCATION}'".encode() in answer


@pins("run", "The v1 surface and gcloud", "No tunnel leads out of the door", ours="never Google by accident")
def test_no_tunnel_leads_out_of_the_local_cloud(run: Runner) -> None:
    answer = raw(run, "CONNECT compute.googleapis.com:443 HTTP/1.1\r\nHost: compute.googleapis.com:443\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 501 The local cloud does not emulate compute.googleapis.com\r\n")


def raw(run: Runner, request: str) -> bytes:
    """What a connection answers until it is closed."""
    with socket.create_connection(("127.0.0.1", run.place.ports["rest"])) as caller:
        caller.sendall(request.encode())
        return b"".join(iter(lambda: caller.recv(65536), b""))


@pins(
    "run",
    "The v1 surface and gcloud",
    "Lists take selectors and pages; configurations and routes are views",
    documented="run v1",
)
def test_revisions_are_selected_and_paged(run: Runner) -> None:
    made = run.create("paged")
    for number in range(2):
        made.template.containers[0].env = [{"name": "N", "value": str(number)}]
        made = run.update(made)
    run.create("unpaged")
    query = "labelSelector=serving.knative.dev%2Fservice+%3D+paged"
    first = ok(run, "GET", f"{SPACE}/revisions?{query}&limit=2")
    rest = ok(run, "GET", f"{SPACE}/revisions?{query}&limit=2&continue={first['metadata']['continue']}")
    assert (len(first["items"]), len(rest["items"]), rest["metadata"]) == (2, 1, {})
    shown = first["items"] + rest["items"]
    active = [next(c["status"] for c in r["status"]["conditions"] if c["type"] == "Active") for r in shown]
    assert active == ["True", "False", "False"]
    newest = shown[0]["metadata"]["name"]
    assert ok(run, "GET", f"{SPACE}/configurations/paged")["status"]["latestReadyRevisionName"] == newest
    assert ok(run, "GET", f"{SPACE}/routes/paged")["status"]["traffic"][0]["revisionName"] == newest
    for kind in ("configurations", "routes"):
        assert "paged" in {each["metadata"]["name"] for each in ok(run, "GET", f"{SPACE}/{kind}")["items"]}
    both = "labelSelector=serving.knative.dev%2Fservice+in+(paged,unpaged),serving.knative.dev%2Froute"
    assert len(ok(run, "GET", f"{SPACE}/revisions?{both}")["items"]) == 4
    assert call(run, "GET", f"{SPACE}/revisions?labelSelector=((").status == 400
    assert call(run, "GET", f"{SPACE}/revisions?limit=x").status == 400


@pins("run", "The v1 surface and gcloud", "A v1 call needs the permission of its v2 call", documented="run permissions")
def test_v1_asks_for_the_permissions_of_v2(run: Runner) -> None:
    run.create("guarded")
    email = run.account("outsider")
    url = f"{run.place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    scope = json.dumps({"scope": ["https://www.googleapis.com/auth/cloud-platform"]}).encode()
    token = http(url, method="POST", body=scope).json["accessToken"]
    said = call(run, "GET", f"{SPACE}/services/guarded", Authorization=f"Bearer {token}")
    assert (said.status, said.json["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "run.services.get" in said.json["error"]["message"]
    policy = {"policy": {"bindings": [{"role": "roles/run.viewer", "members": [f"serviceAccount:{email}"]}]}}
    ok(run, "POST", f"/v1/{PARENT}/services/guarded:setIamPolicy", policy)
    assert call(run, "GET", f"{SPACE}/services/guarded", Authorization=f"Bearer {token}").status == 200
    assert call(run, "DELETE", f"{SPACE}/services/guarded", Authorization=f"Bearer {token}").status == 403


@pins("run", "The v1 surface and gcloud", "dryRun=all checks and keeps nothing", documented="dryRun")
def test_dry_run_keeps_nothing(run: Runner) -> None:
    made = ok(run, "POST", f"{SPACE}/services?dryRun=all", knative("dry"))
    assert made["spec"]["template"]["spec"]["containerConcurrency"] == 80
    assert call(run, "GET", f"{SPACE}/services/dry").status == 404


@pins("run", "The v1 surface and gcloud", "A v1 job is the v2 job, with its overrides", documented="Job of run v1")
def test_job_made_in_v1_is_the_v2_job(run: Runner) -> None:
    task = {"containers": [{"image": IMAGE, "args": ["exit", "3"]}], "maxRetries": 0, "timeoutSeconds": 60}
    body = {
        "apiVersion": "run.googleapis.com/v1",
        "kind": "Job",
        "metadata": {"name": "once", "annotations": {"run.googleapis.com/launch-stage": "GA"}},
        "spec": {"template": {"spec": {"taskCount": 1, "template": {"spec": task}}}},
    }
    made = ok(run, "POST", f"{JOBS}/jobs", body)
    assert made["spec"]["template"]["spec"]["template"]["spec"]["maxRetries"] == 0
    assert made["status"]["conditions"][0]["status"] == "True"
    change = {"containerOverrides": [{"args": ["done"], "env": [{"name": "A", "value": "1"}]}], "taskCount": 2}
    begun = ok(run, "POST", f"{JOBS}/jobs/once:run", {"overrides": change})
    assert begun["metadata"]["labels"]["run.googleapis.com/job"] == "once"
    kept = ok(run, "GET", f"{JOBS}/executions/{begun['metadata']['name']}")
    assert kept["spec"]["taskCount"] == 2
    assert kept["spec"]["template"]["spec"]["containers"][0]["args"] == ["done"]
    wrong = json.loads(json.dumps(body))
    wrong["spec"]["template"]["spec"]["template"]["spec"]["containers"] = []
    wrong["metadata"]["name"] = "never"
    refused = call(run, "POST", f"{JOBS}/jobs", wrong).json["error"]["details"][0]["fieldViolations"][0]
    assert refused["field"] == "spec.template.spec.template.spec.containers"
    assert call(run, "GET", f"{JOBS}/executions/nothing").status == 404
    ok(run, "DELETE", f"{JOBS}/jobs/once")
    assert call(run, "GET", f"{JOBS}/jobs/once").status == 404


RUBBISH: list[Any] = [
    None, True, -1, 0, 1.5, 2**70, "", "x", "\x00", "9" * 50, [], [[]], [None], {}, {"": {}}, {"a": 1}, [{"name": 7}],
    "{" * 2000, {"run.googleapis.com/custom-audiences": "[" * 5000}, {"run.googleapis.com/network-interfaces": "[1]"},
    {"run.googleapis.com/container-dependencies": '{"a": 1}'}, {"run.googleapis.com/cpu-throttling": "perhaps"},
    {"autoscaling.knative.dev/minScale": "²"}, {"run.googleapis.com/secrets": "a:b,,:"},
]  # fmt: skip


@pins("run", "The v1 surface and gcloud", "Rubbish in any field is refused or kept", ours="no 500")
@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_rubbish_in_any_field_is_no_error_of_our_own(run: Runner, verb: str) -> None:
    whole = ok(run, "POST", f"{SPACE}/services", knative(f"rubbish-{verb.lower()}"))
    name = whole["metadata"]["name"]
    path = f"{SPACE}/services" + (f"/{name}" if verb == "PUT" else "")
    tried = 0
    for place in places(whole):
        for value in RUBBISH:
            body = json.loads(json.dumps(whole))
            target = body
            for part in place[:-1]:
                target = target[part]
            target[place[-1]] = value
            answer = call(run, verb, f"{path}?dryRun=all", body)
            assert answer.status < 500, (place, value, answer.body)
            tried += 1
    assert tried > 500
    assert ok(run, "GET", f"{SPACE}/services/{name}")["metadata"]["generation"] == 1


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value inside a body that is read."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        if key not in ("status", "ownerReferences"):
            yield (*above, key)
            yield from places(item, (*above, key))
