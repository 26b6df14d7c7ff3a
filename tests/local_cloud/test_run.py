"""Cloud Run as its clients and callers see it: deployments, conditions, traffic, the front door."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, inside
from tests.local_cloud.image import until
from tests.local_cloud.run_client import IMAGE, NUMBER, Runner, done, http, runner

pins(
    "run",
    "Services and revisions",
    "CreateService, GetService, ListServices, UpdateService, DeleteService, the IAM methods; "
    "GetRevision, ListRevisions, DeleteRevision",
    documented="Services, Revisions",
)

BY_REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
FAILED = run_v2.Condition.State.CONDITION_FAILED
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("run")
    with inside(folder / "state") as place, runner(place, folder / "image") as made:
        yield made


def to(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=BY_REVISION, revision=revision, percent=percent, tag=tag)


@pins(
    "run",
    "Services and revisions",
    "A deployment starts one instance and sees it pass its startup probe; an operation that is "
    "through within 3 s is answered done",
    documented="Deploying",
    ours=True,
)
@pins(
    "run",
    "Services and revisions",
    "Defaults: 300 s, 80 requests an instance, 100 instances, 1 CPU, 512 MiB, port 8080, TCP startup probe",
    documented="Quotas, Container",
)
def test_deployed_service_reads_back_ready_with_its_url(run: Runner) -> None:
    made = run.create("hello", max_instance_request_concurrency=7)
    again = run.services.get_service(name=made.name)
    assert again.name == f"{PARENT}/services/hello"
    assert again.uri == f"{run.place.rest}/run/hello-{NUMBER}.us-central1"
    assert list(again.urls) == [again.uri]
    assert again.terminal_condition.type_ == "Ready"
    assert again.terminal_condition.state == SUCCEEDED
    assert (again.generation, again.observed_generation, again.reconciling) == (1, 1, False)
    assert again.latest_ready_revision == again.latest_created_revision
    assert again.template.timeout.seconds == 300
    assert again.template.max_instance_request_concurrency == 7
    [status] = again.traffic_statuses
    assert (status.type_, status.percent) == (LATEST, 100)
    [revision] = run.revisions.list_revisions(parent=again.name)
    assert revision.name == again.latest_ready_revision
    assert revision.name.rpartition("/")[2].startswith("hello-00001-")
    assert revision.containers[0].image == IMAGE
    assert run.revisions.get_revision(name=revision.name).conditions[0].state == SUCCEEDED
    assert "hello" in [s.name.rpartition("/")[2] for s in run.services.list_services(parent=PARENT)]


@pins(
    "run",
    "The front door",
    "`/run/[TAG---]SERVICE-NUMBER.REGION/` at the REST doors instead of `https://....run.app/`",
    ours=True,
)
@pins(
    "run",
    "The front door",
    "Headers: Host kept, X-Forwarded-For, X-Forwarded-Proto (http here), Forwarded, traceparent and "
    "X-Cloud-Trace-Context added or kept",
    documented="Container contract",
)
def test_request_reaches_the_container_as_cloud_run_sends_it(run: Runner) -> None:
    made = run.create("shape")
    answer = http(
        f"{made.uri}/a%20b/c?x=1&y=%2F",
        method="POST",
        body=b"hi",
        headers={"X-Own": "kept", "Authorization": "Bearer not-ours"},
    )
    seen = answer.json
    assert (answer.status, seen["path"], seen["query"], seen["body"]) == (200, "/a b/c", "x=1&y=%2F", "hi")
    headers = seen["headers"]
    assert headers["host"] == f"127.0.0.1:{run.place.ports['rest']}"
    assert headers["x-own"] == "kept"
    assert headers["authorization"] == "Bearer not-ours"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    trace = headers["traceparent"].split("-")[1]
    assert headers["x-cloud-trace-context"].startswith(trace + "/")
    assert answer.headers["x-cloud-trace-context"].startswith(trace + "/")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert http(made.uri, headers={"traceparent": parent}).json["headers"]["traceparent"] == parent
    teapot = http(f"{made.uri}/teapot")
    assert (teapot.status, teapot.headers["x-kettle"]) == (418, "on")


@pins(
    "run",
    "Instances",
    "Each instance has a port of its own (Google: 8080 in each container)",
    ours=True,
)
def test_environment_has_the_declared_and_the_platforms_own(run: Runner) -> None:
    env = [{"name": "MINE", "value": "x=1"}]
    made = run.create("env", env=env, revision="env-first")
    seen = http(f"{made.uri}/env").json
    assert seen["argv"][1:] == ["env"]
    assert seen["env"]["MINE"] == "x=1"
    assert (seen["env"]["K_SERVICE"], seen["env"]["K_REVISION"]) == ("env", "env-first")
    assert seen["env"]["K_CONFIGURATION"] == "env"
    url = f"http://{seen['env']['GCE_METADATA_HOST']}/computeMetadata/v1/instance/service-accounts/default/email"
    assert (
        http(url, headers={"Metadata-Flavor": "Google"}).body
        == f"tiny-runner@{PROJECT}.iam.gserviceaccount.com".encode()
    )


@pins(
    "run",
    "The front door",
    "No run.routes.invoke: 403 page without a token, 401 with one that is not valid or for another "
    "audience; the page names the binding that is missing",
    observed="front end's pages",
    ours=True,
)
@pins(
    "run",
    "The front door",
    "X-Serverless-Authorization goes before Authorization",
    documented="Service to service",
)
@pins(
    "run",
    "The front door",
    "Both headers are passed on with their signatures. Google puts SIGNATURE_REMOVED_BY_GOOGLE in "
    "the place of the signature of a token that it has checked; here it stays, so that each service "
    "also verifies the token that a queue or a schedule shows it and a fault of that check is seen "
    "before Google hides it. What a service does with a stripped token is proved by its own tests",
    ours="Authenticating service-to-service",
)
def test_refused_without_the_binding_then_let_in_with_it(run: Runner) -> None:
    made = run.create("closed", public=False)
    caller = run.account("closed-caller")
    bare = http(made.uri)
    assert bare.status == 403
    assert b"Your client does not have permission to get URL <code>/</code> from this server." in bare.body
    bearer = {"Authorization": f"Bearer {run.id_token(caller, made.uri)}"}
    refused = http(made.uri, headers=bearer)
    assert refused.status == 403
    assert b"--role=roles/run." in refused.body
    assert f"serviceAccount:{caller}".encode() in refused.body
    run.bind(made.name, "roles/run.invoker", f"serviceAccount:{caller}")
    let_in = http(made.uri, headers=bearer)
    assert let_in.status == 200
    assert let_in.json["headers"]["authorization"] == bearer["Authorization"]
    serverless = {"X-Serverless-Authorization": bearer["Authorization"], "Authorization": "Bearer other"}
    assert http(made.uri, headers=serverless).status == 200
    empty = {"X-Serverless-Authorization": "", "Authorization": bearer["Authorization"]}
    assert http(made.uri, headers=empty).status == 403
    for token in ("rubbish", run.id_token(caller, "https://elsewhere.example")):
        wrong = http(made.uri, headers={"Authorization": f"Bearer {token}"})
        assert wrong.status == 401
        assert wrong.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


@pins(
    "run",
    "The front door",
    "Audiences: the service's URL, a path below it, a tag's URL, custom audiences",
    documented="Custom audiences",
    observed="Custom audiences",
)
def test_audience_may_be_a_tags_url_or_a_custom_one(run: Runner) -> None:
    caller = run.account("audience-caller")
    service = run.service("audience", revision="audience-a")
    service.custom_audiences = ["my-audience"]
    service.traffic = [to("audience-a", 100, "stable")]
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="audience"))
    run.bind(made.name, "roles/run.invoker", f"serviceAccount:{caller}")
    [status] = made.traffic_statuses
    for audience in (made.uri, status.uri, f"{made.uri}/path", "my-audience"):
        token = run.id_token(caller, audience)
        assert http(f"{status.uri}/", headers={"Authorization": f"Bearer {token}"}).status == 200, audience


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


@pins(
    "run",
    "Services and revisions",
    "Revision names: given, prefixed by the service's, or numbered with three random characters; a "
    "name with another template is ALREADY_EXISTS",
    observed="public issue threads",
)
def test_revision_is_never_changed(run: Runner) -> None:
    made = run.create("fixed", revision="fixed-a")
    same = run.update(made)
    assert same.generation == 2
    assert len(list(run.revisions.list_revisions(parent=made.name))) == 1
    same.template.containers[0].env = [{"name": "A", "value": "b"}]
    with pytest.raises(exceptions.AlreadyExists, match="'fixed-a' with different configuration already exists"):
        run.update(same)


@pins(
    "run",
    "Services and revisions",
    "The latest revision, and one that traffic or a tag names, cannot be deleted",
    documented="Managing revisions",
)
def test_unnamed_revisions_are_numbered_and_latest_follows(run: Runner) -> None:
    made = run.create("latest")
    made.template.containers[0].env = [{"name": "A", "value": "2"}]
    made = run.update(made)
    assert made.latest_ready_revision.rpartition("/")[2].startswith("latest-00002-")
    assert http(f"{made.uri}/env").json["env"]["A"] == "2"
    newest, oldest = run.revisions.list_revisions(parent=made.name)
    with pytest.raises(exceptions.FailedPrecondition, match="latest"):
        run.revisions.delete_revision(name=newest.name)
    done(run.revisions.delete_revision(name=oldest.name))
    assert [r.name for r in run.revisions.list_revisions(parent=made.name)] == [newest.name]


@pins(
    "run",
    "Services and revisions",
    "Percents sum to 100, tags are unique and fit a label of 63 characters, named revisions exist: "
    "refused at once (Google: the last in the operation)",
    documented="TrafficTarget",
    ours=True,
)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"traffic": [to("bad-a", 99)]}, "must sum to 100, not 99"),
        ({"traffic": [to("bad-zzz", 100)]}, "'bad-zzz' does not exist"),
        ({"traffic": [to("bad-a", 100, "Tag")]}, "lower-case"),
        ({"traffic": [to("bad-a", 100, "t"), to("bad-a", 0, "t")]}, "there twice"),
        ({"traffic": [to("bad-a", 100, "t" * 60)]}, "too long for a URL"),
        ({"template": {"revision": "other-a"}}, "must be prefixed by the name of the enclosing Service 'bad'"),
        ({"template": {"containers": []}}, "at least one container"),
        ({"template": {"containers": [{"image": ""}]}}, "needs an image"),
        (
            {"template": {"containers": [{"image": IMAGE, "env": [{"name": "PORT", "value": "1"}]}]}},
            "reserved env names",
        ),
        ({"template": {"scaling": {"min_instance_count": 5, "max_instance_count": 2}}}, "must not be greater"),
        ({"template": {"timeout": "4000s"}}, "between 1s and 3600s"),
        ({"template": {"max_instance_request_concurrency": 1001}}, "between 1 and 1000"),
    ],
)
def test_wrong_service_is_refused_with_its_field_and_nothing_is_kept(run: Runner, change: dict, said: str) -> None:  # type: ignore[type-arg]
    service = run_v2.Service.to_dict(run.service("bad", revision="bad-a"))
    service["template"] |= change.pop("template", {})
    service |= change
    with pytest.raises(exceptions.InvalidArgument, match="Violation in CreateServiceRequest") as refused:
        run.services.create_service(parent=PARENT, service=service, service_id="bad")
    assert said in refused.value.message
    with pytest.raises(exceptions.NotFound):
        run.services.get_service(name=f"{PARENT}/services/bad")


@pins(
    "run",
    "Services and revisions",
    "Update masks, allow_missing, validate_only, etags (ABORTED), generation, reconciling, conditions, uri and urls",
    documented="service.proto",
)
def test_names_etags_and_validate_only_are_checked(run: Runner) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="service_id"):
        run.services.create_service(parent=PARENT, service=run.service("x"), service_id="Upper")
    request = {"parent": PARENT, "service": run.service("dry"), "service_id": "dry", "validate_only": True}
    assert done(run.services.create_service(request=request)).name.endswith("/dry")
    with pytest.raises(exceptions.NotFound):
        run.services.get_service(name=f"{PARENT}/services/dry")
    made = run.create("tagged-etag")
    with pytest.raises(exceptions.AlreadyExists):
        run.create("tagged-etag")
    stale = made.etag
    made.description = "changed"
    made = run.update(made)
    made.etag = stale
    with pytest.raises(exceptions.Aborted, match="etag"):
        run.update(made)
    missing = run_v2.Service(name=f"{PARENT}/services/upserted", template=run.service("upserted").template)
    with pytest.raises(exceptions.NotFound):
        run.update(missing)
    assert run.update(missing, allow_missing=True).generation == 1


@pins(
    "run",
    "Services and revisions",
    "An image is code registered for its digest (`/_sluice/images`); an unknown one fails the revision and says how",
    ours=True,
)
def test_unknown_image_fails_the_revision_and_says_how_to_register_it(run: Runner) -> None:
    unknown = IMAGE.replace("a" * 64, "b" * 64)
    service = run.service("unknown", image=unknown)
    operation = run.services.create_service(parent=PARENT, service=service, service_id="unknown")
    with pytest.raises(exceptions.NotFound, match="_sluice/images"):
        done(operation)
    kept = run.services.get_service(name=f"{PARENT}/services/unknown")
    assert kept.terminal_condition.state == FAILED
    assert "is not ready and cannot serve traffic" in kept.terminal_condition.message
    assert http(kept.uri).status == 403, "IAM stands before everything"
    run.bind(kept.name, "roles/run.invoker", "allUsers")
    assert http(kept.uri).status == 503


@pins(
    "run",
    "Services and revisions",
    "A failed deployment fails the operation and the Ready condition; LATEST stays with the last ready revision",
    documented="Troubleshooting",
)
def test_failed_deployment_leaves_traffic_with_the_ready_revision(run: Runner) -> None:
    made = run.create("careful")
    made.template.containers[0].env = [{"name": "FAIL_AT_START", "value": "1"}]
    with pytest.raises(exceptions.FailedPrecondition, match=r"exit\(3\)"):
        run.update(made)
    kept = run.services.get_service(name=made.name)
    assert kept.latest_ready_revision == made.latest_ready_revision != kept.latest_created_revision
    assert http(made.uri).status == 200


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


@pins(
    "run",
    "Services and revisions",
    "secretKeyRef by number, alias or latest, read with the revision's account at deployment and at each start",
    documented="Configure secrets",
)
def test_secrets_are_read_by_version_with_the_revisions_account(run: Runner) -> None:
    secret, account = run.add_secret("RUN_KEY", b"one"), run.account("reader-of-secrets")
    run.add_secret("RUN_KEY", b"two")
    env = [
        {"name": "PINNED", "value_source": {"secret_key_ref": {"secret": "RUN_KEY", "version": "1"}}},
        {"name": "NEWEST", "value_source": {"secret_key_ref": {"secret": secret, "version": "latest"}}},
    ]
    with pytest.raises(exceptions.PermissionDenied, match=r"secretmanager.secretAccessor.*reader-of"):
        run.create("secretive", env=env, service_account=account)
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    made = run.update(run.services.get_service(name=f"{PARENT}/services/secretive"))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    seen = http(f"{made.uri}/env").json["env"]
    assert (seen["PINNED"], seen["NEWEST"]) == ("one", "two")
    env[0]["value_source"]["secret_key_ref"]["version"] = "9"  # type: ignore[index]
    with pytest.raises(exceptions.NotFound, match=f"projects/{NUMBER}/secrets/RUN_KEY/versions/9 was not found"):
        run.create("secretive-2", env=env, service_account=account)


def test_permission_taken_away_fails_the_next_start(run: Runner) -> None:
    secret, account = run.add_secret("TAKEN", b"x"), run.account("loser-of-secrets")
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    env = [{"name": "TAKEN", "value_source": {"secret_key_ref": {"secret": "TAKEN", "version": "1"}}}]
    made = run.create("taken", env=env, service_account=account)
    assert http(made.uri).status == 200
    run.bind(secret, "roles/secretmanager.secretAccessor")
    os.kill(run.pids("taken")[0], signal.SIGKILL)
    asyncio.run(until(lambda: not run.pids("taken")))
    assert http(made.uri).status == 503
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    assert http(made.uri).status == 200


def test_crash_is_a_503_and_the_next_request_gets_a_new_instance(run: Runner) -> None:
    made = run.create("crash")
    [pid] = run.pids("crash")
    broken = http(f"{made.uri}/crash")
    assert (broken.status, broken.body) == (503, b"Service Unavailable")
    answer = http(made.uri)
    assert answer.status == 200
    assert answer.json["pid"] != pid


@pins(
    "run",
    "The front door",
    "504 after the service's timeout; 503 when the instance breaks off; 429 without a free instance for 10 s",
    documented="Troubleshooting",
)
def test_slow_answer_is_a_504_after_the_services_timeout(run: Runner) -> None:
    made = run.create("slow", timeout="1s")
    late = http(f"{made.uri}/slow", method="POST", body=b"2")
    assert (late.status, late.body) == (504, b"upstream request timeout")


def test_requests_above_concurrency_wait_and_all_are_answered(run: Runner, tmp_path: Path) -> None:
    made = run.create("busy", max_instance_request_concurrency=2, scaling={"max_instance_count": 2})
    door = tmp_path / "open"
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(http, f"{made.uri}/wait", method="POST", body=str(door).encode()) for _ in range(7)]
        asyncio.run(until(lambda: sum(i["in_flight"] for i in run.status()["busy"]["instances"]) == 4))
        door.touch()
        answers = [call.result() for call in calls]
    assert [a.status for a in answers] == [200] * 7
    assert len({a.json["pid"] for a in answers}) == 2


@pins(
    "run",
    "The front door",
    "Request log entries with httpRequest, trace and instance",
    documented="Logging",
)
@pins(
    "run",
    "Instances",
    "Lines of output become entries; JSON lines give severity, message, trace, labels, httpRequest",
    documented="Structured logging",
)
def test_request_log_and_output_share_the_trace(run: Runner) -> None:
    made = run.create("logged")
    line = json.dumps({"severity": "ERROR", "message": "spent", "unique_id": "U7", "logging.googleapis.com/trace": "T"})
    http(f"{made.uri}/say", method="POST", body=line.encode())
    http(f"{made.uri}/say", method="POST", body=b"plain words")
    found: dict[str, list[dict]] = {}  # type: ignore[type-arg]

    def arrived() -> bool:
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": "resource.labels.service_name=logged"}
        answer = http(f"{run.place.rest}/v2/entries:list", method="POST", body=json.dumps(body).encode())
        found.clear()
        for entry in answer.json.get("entries", []):
            found.setdefault(entry["logName"].rpartition("%2F")[2], []).append(entry)
        return len(found.get("stdout", [])) >= 3 and len(found.get("requests", [])) >= 2

    asyncio.run(until(arrived))
    structured = next(e for e in found["stdout"] if "jsonPayload" in e)
    assert structured["severity"] == "ERROR"
    assert structured["jsonPayload"] == {"message": "spent", "unique_id": "U7"}
    assert structured["trace"] == f"projects/{PROJECT}/traces/T"
    assert "plain words" in [e.get("textPayload") for e in found["stdout"]]
    request = found["requests"][0]
    assert request["httpRequest"]["status"] == 200
    assert request["httpRequest"]["requestUrl"] == f"{made.uri}/say"
    assert request["resource"]["labels"]["revision_name"] == made.latest_ready_revision.rpartition("/")[2]
    assert request["trace"].startswith(f"projects/{PROJECT}/traces/")


@pins(
    "run",
    "Instances",
    "SIGTERM, 10 s, SIGKILL",
    documented="Container contract",
)
def test_deleted_service_takes_its_instances_along(run: Runner) -> None:
    made = run.create("doomed")
    [pid] = run.pids("doomed")
    done(run.services.delete_service(name=made.name))
    asyncio.run(until(lambda: not Path(f"/proc/{pid}").exists()))
    assert http(made.uri).status == 404
    assert b"Page not found" in http(made.uri).body
    with pytest.raises(exceptions.NotFound):
        run.services.get_service(name=made.name)
    again = run.create("doomed", public=False)
    assert http(again.uri).status == 403, "a policy does not outlive its service"


@pins(
    "run",
    "The front door",
    "A caller that hangs up frees its place at once",
    ours=True,
)
def test_caller_that_hangs_up_frees_its_place(run: Runner, tmp_path: Path) -> None:
    import socket

    made = run.create("hangup", max_instance_request_concurrency=1, scaling={"max_instance_count": 1})
    path = made.uri.partition(str(run.place.ports["rest"]))[2]
    with socket.create_connection(("127.0.0.1", run.place.ports["rest"])) as caller:
        body = str(tmp_path / "open").encode()
        head = f"POST {path}/wait HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body)
        asyncio.run(until(lambda: any(i["in_flight"] for i in run.status()["hangup"]["instances"])))
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(http(made.uri).status))
    thread.start()
    thread.join(20)
    (tmp_path / "open").touch()
    assert answers == [200]
