"""Cloud Run v1 over HTTP: Knative's objects are the v2 resources seen from another side."""

import json
import socket

from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT
from tests.local_cloud.knative import SPACE, call, deployed, knative, ok
from tests.local_cloud.run_client import IMAGE, NUMBER, Runner, http

JOBS = f"/apis/run.googleapis.com/v1/namespaces/{PROJECT}"


@pins(
    "run", "The v1 surface and gcloud", "A Knative service and the v2 service are one", documented="Service of run v1"
)
def test_service_made_in_v1_reads_back_in_both(run: Runner) -> None:
    account, secret = run.account("maker-of-v1"), run.add_secret("V1_KEY", b"words")
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    wanted = knative(
        "both",
        env=[{"name": "A", "value": "1"}, {"name": "K", "valueFrom": {"secretKeyRef": {"name": "V1_KEY", "key": "1"}}}],
        startupProbe={"httpGet": {"path": "/env"}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 200},
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
    shown = deployed(run, wanted)
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
    first = deployed(run, knative("raced"))
    ok(run, "PUT", f"{SPACE}/services/raced", first)
    late = call(run, "PUT", f"{SPACE}/services/raced", first)
    assert (late.status, late.json["error"]["status"]) == (409, "ABORTED")
    assert "was specified but current version is" in late.json["error"]["message"]


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
