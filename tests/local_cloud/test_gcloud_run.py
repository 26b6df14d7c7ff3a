"""`gcloud run`, unmodified: what a person types to deploy, canary, roll back, look and clean up."""

import asyncio
from collections.abc import Iterator

import pytest
from google.cloud import run_v2
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import PARENT, PROJECT
from tests.local_cloud.gcloud import Gcloud
from tests.local_cloud.image import until
from tests.local_cloud.run_client import IMAGE, NUMBER, Runner, http

pytestmark = real.needed

ACCOUNT = f"gcsplit@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def gcloud(run: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(run.place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        yield made


@pins("run", "The v1 surface and gcloud", "gcloud run deploy, its tracker and its URL", documented="gcloud run deploy")
def test_deploy_says_what_was_deployed_and_where_it_answers(run: Runner, gcloud: Gcloud) -> None:
    run.account("gcsplit")
    secret = run.add_secret("SIGNING_KEY", b"words")
    run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{ACCOUNT}")
    done = gcloud.ok(
        *("run", "deploy", "gcsplit", f"--image={IMAGE}", f"--service-account={ACCOUNT}"),
        *("--set-env-vars=A=1,B=2", "--set-secrets=KEY=SIGNING_KEY:latest", "--allow-unauthenticated"),
        *("--concurrency=20", "--min-instances=0", "--max-instances=5", "--timeout=60", "--cpu=1", "--memory=256Mi"),
        *("--ingress=all", "--labels=team=pay", "--no-cpu-throttling"),
    )
    url = f"{run.place.rest}/run/gcsplit-{NUMBER}.us-central1"
    for said in ("Setting IAM Policy", "Creating Revision", "Routing traffic", "100 percent", f"Service URL: {url}"):
        assert said in done.err
    kept = run.services.get_service(name=f"{PARENT}/services/gcsplit")
    container = kept.template.containers[0]
    assert (kept.client, kept.labels["team"], kept.ingress.name) == ("gcloud", "pay", "INGRESS_TRAFFIC_ALL")
    assert (kept.template.service_account, kept.template.timeout.seconds) == (ACCOUNT, 60)
    assert kept.template.max_instance_request_concurrency == 20
    assert kept.template.scaling.max_instance_count == 5
    assert dict(container.resources.limits) == {"cpu": "1", "memory": "256Mi"}
    assert container.resources.cpu_idle is False
    seen = http(f"{url}/env").json["env"]
    assert (seen["A"], seen["B"], seen["KEY"]) == ("1", "2", "words")
    shown = gcloud.ok("run", "services", "describe", "gcsplit").out
    for said in (url, "Ingress: all", "SIGNING_KEY:latest", "Concurrency:", "Max instances:     5"):
        assert said in shown


@pins("run", "The v1 surface and gcloud", "A canary at 0 %, by tag, by share, and back", documented="Rollouts")
def test_canary_is_tagged_split_and_rolled_back(run: Runner, gcloud: Gcloud) -> None:
    gcloud.ok("run", "deploy", "walk", f"--image={IMAGE}", "--no-allow-unauthenticated")
    canary = ("--no-traffic", "--tag=canary", "--update-env-vars=NEW=1", "--revision-suffix=b")
    done = gcloud.ok("run", "deploy", "walk", f"--image={IMAGE}", *canary)
    assert f"/run/canary---walk-{NUMBER}.us-central1" in done.err
    first = gcloud.json("run", "revisions", "list", "--service=walk")[1]["metadata"]["name"]

    def split() -> list[tuple[str, int, str]]:
        kept = run.services.get_service(name=f"{PARENT}/services/walk")
        return [(target.revision, target.percent, target.tag) for target in kept.traffic_statuses]

    assert split() == [(first, 100, ""), ("walk-b", 0, "canary")]
    gcloud.ok("run", "services", "update-traffic", "walk", f"--to-revisions={first}=90,walk-b=10")
    assert sorted(split()) == sorted([(first, 90, ""), ("walk-b", 10, ""), ("walk-b", 0, "canary")])
    gcloud.ok("run", "services", "update-traffic", "walk", "--to-tags=canary=100")
    assert sorted(split()) == sorted([("walk-b", 100, ""), ("walk-b", 0, "canary")])
    gcloud.ok("run", "services", "update-traffic", "walk", f"--to-revisions={first}=100")
    gcloud.ok("run", "services", "update-traffic", "walk", "--remove-tags=canary")
    assert split() == [(first, 100, "")]
    gcloud.ok("run", "services", "update-traffic", "walk", "--to-latest")
    assert [percent for _, percent, _ in split()] == [100]
    assert len(gcloud.json("run", "revisions", "list", "--service=walk")) == 2, "traffic makes no revision"
    assert "cannot be deleted" in gcloud.refused("run", "revisions", "delete", "walk-b")
    gcloud.ok("run", "revisions", "delete", first)
    assert gcloud.json("run", "revisions", "describe", "walk-b")["metadata"]["labels"]["serving.knative.dev/service"]


@pins("run", "The v1 surface and gcloud", "A failed deployment is told by its stage and its reason", observed="gcloud")
def test_what_fails_is_told_with_its_field_or_its_stage(run: Runner, gcloud: Gcloud) -> None:
    said = gcloud.refused("run", "deploy", "sick", f"--image={IMAGE}", "--set-env-vars=FAIL_AT_START=1")
    assert "Creating Revision" in said
    assert "is not ready and cannot serve traffic. Container called exit(3)" in said
    unknown = IMAGE.replace("a" * 64, "b" * 64)
    assert "_sluice/images" in gcloud.refused("run", "deploy", "sick", f"--image={unknown}")
    wrong = gcloud.refused("run", "deploy", "sick", f"--image={IMAGE}", "--concurrency=5000")
    assert "spec.template.spec.containerConcurrency: must be between 1 and 1000." in wrong
    assert "Cannot find service [gone]" in gcloud.refused("run", "services", "describe", "gone")
    assert "could not be found" in gcloud.refused("run", "services", "update", "gone", "--max-instances=1")


@pins(
    "run", "The v1 surface and gcloud", "Services are listed, bound, read in the log and deleted", documented="gcloud"
)
def test_services_are_listed_bound_and_deleted(run: Runner, gcloud: Gcloud) -> None:
    gcloud.ok("run", "deploy", "short", f"--image={IMAGE}", "--no-allow-unauthenticated", "--quiet")
    member, role = f"--member=serviceAccount:{ACCOUNT}", "--role=roles/run.invoker"
    run.account("gcsplit")
    gcloud.ok("run", "services", "add-iam-policy-binding", "short", member, role)
    policy = gcloud.json("run", "services", "get-iam-policy", "short")
    assert policy["bindings"] == [{"members": [f"serviceAccount:{ACCOUNT}"], "role": "roles/run.invoker"}]
    everywhere = [each["metadata"]["name"] for each in gcloud.json("run", "services", "list")]
    here = [each["metadata"]["name"] for each in gcloud.json("run", "services", "list", "--region=us-central1")]
    assert "short" in here
    assert sorted(everywhere) == sorted(here)
    assert gcloud.json("run", "services", "list", "--region=europe-west1") == []
    assert gcloud.json("beta", "run", "domain-mappings", "list") == []
    gcloud.ok("run", "services", "update", "short", "--update-env-vars=B=3", "--remove-env-vars=A")
    logs = ("run", "services", "logs", "read", "short")
    asyncio.run(until(lambda: "starting" in gcloud.ok(*logs).out, patience=60))
    assert "Deleted service [short]" in gcloud.ok("run", "services", "delete", "short").err
    assert "short" not in gcloud.ok("run", "services", "list").out


@pins(
    "run", "The v1 surface and gcloud", "gcloud run jobs: create, execute, look, delete", documented="gcloud run jobs"
)
def test_jobs_are_executed_and_looked_at(run: Runner, gcloud: Gcloud) -> None:
    run.account("migrator")
    account = f"--service-account=migrator@{PROJECT}.iam.gserviceaccount.com"
    words = ("--tasks=2", "--max-retries=1", "--task-timeout=60", "--set-env-vars=A=1", "--args=done", account)
    gcloud.ok("run", "jobs", "create", "migrate", f"--image={IMAGE}", *words)
    jobs = run_v2.JobsClient(transport=JobsGrpcTransport(channel=run.channel))
    kept = jobs.get_job(name=f"{PARENT}/jobs/migrate").template
    assert (kept.task_count, kept.template.max_retries, kept.template.timeout.seconds) == (2, 1, 60)
    assert "has successfully completed" in gcloud.ok("run", "jobs", "execute", "migrate", "--wait").err
    [execution] = gcloud.json("run", "jobs", "executions", "list", "--job=migrate")
    name = execution["metadata"]["name"]
    assert execution["status"]["succeededCount"] == 2
    tasks = gcloud.json("run", "jobs", "executions", "tasks", "list", f"--execution={name}")
    assert [task["metadata"]["labels"]["run.googleapis.com/runningState"] for task in tasks] == ["Succeeded"] * 2
    assert "2 tasks completed successfully" in gcloud.ok("run", "jobs", "executions", "describe", name).out
    gcloud.ok("run", "jobs", "deploy", "migrate", f"--image={IMAGE}", "--args=exit,3", "--max-retries=0")
    assert "The execution failed" in gcloud.refused("run", "jobs", "execute", "migrate", "--wait")
    assert "has successfully completed" in gcloud.ok("run", "jobs", "execute", "migrate", "--wait", "--args=done").err
    assert "Executed 3 times" in gcloud.ok("run", "jobs", "describe", "migrate").out
    gcloud.ok("run", "jobs", "delete", "migrate")
    assert gcloud.json("run", "jobs", "list") == []
