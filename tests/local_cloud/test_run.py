"""Deployments to Cloud Run as its clients see them: names, etags, conditions, images, secrets, revisions."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT
from tests.local_cloud.image import until
from tests.local_cloud.run_client import IMAGE, NUMBER, Runner, done, http, to

pins(
    "run",
    "Services and revisions",
    "CreateService, GetService, ListServices, UpdateService, DeleteService, the IAM methods; "
    "GetRevision, ListRevisions, DeleteRevision",
    documented="Services, Revisions",
)

LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
FAILED = run_v2.Condition.State.CONDITION_FAILED
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


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
    found = run.revisions.get_revision(name=revision.name)
    assert found.conditions[0].state == SUCCEEDED
    assert (found.generation, found.observed_generation, found.reconciling) == (1, 1, False)
    assert "hello" in [s.name.rpartition("/")[2] for s in run.services.list_services(parent=PARENT)]


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
    "A revision that does not start says the container's last line: an entry that cannot be imported is found there",
    ours="Cloud Run points to the log",
)
def test_an_entry_that_cannot_be_imported_is_named_by_the_revision(run: Runner, tmp_path: Path) -> None:
    run.register("astray", str(tmp_path), "no_such_module:main")
    with pytest.raises(exceptions.FailedPrecondition, match=r"exit\(1\).*No module named 'no_such_module'"):
        done(
            run.services.create_service(
                parent=PARENT, service=run.service("astray", image="astray"), service_id="astray"
            )
        )


def test_images_are_registered_by_digest_or_name_and_listed(run: Runner, tmp_path: Path) -> None:
    url = f"{run.place.rest}/_sluice/images"
    refused = http(url, method="POST", body=b"{}")
    assert refused.status == 400
    assert "whole name" in refused.json["error"]["message"]
    run.register("by-name:v1", str(tmp_path), "app:main", ("json",))
    manifest = {"digest": "by-name:v1", "root": str(tmp_path), "entry": "app:main", "preload": ["json"]}
    assert manifest in http(url).json["images"]


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
