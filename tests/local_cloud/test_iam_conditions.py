"""Conditions of bindings: CEL with IAM's attributes, type-checked when set, evaluated at each decision."""

import datetime

import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.iam.conditions import extract
from local_cloud.registry import Principal
from local_cloud.running import Running
from tests.fidelity import pins

PROJECT = "projects/sluice-local"
QUEUE = f"{PROJECT}/locations/us-central1/queues/split-payment-queue"
SECRET = f"{PROJECT}/secrets/KEY/versions/3"
MEMBER = "serviceAccount:gcsplit@sluice-local.iam.gserviceaccount.com"


@pytest.fixture
async def cloud(running: Running) -> Cloud:
    running.cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
    return running.cloud


def bind(cloud: Cloud, resource: str, condition: str, role: str = "roles/cloudtasks.enqueuer") -> None:
    binding = {"role": role, "members": [MEMBER], "condition": {"title": "t", "expression": condition}}
    cloud.iam.set_policy(resource, message("google.iam.v1.Policy")(version=3, bindings=[binding]))


def may(cloud: Cloud, permission: str = "cloudtasks.tasks.create", resource: str = QUEUE) -> bool:
    return cloud.iam.decide(Principal(MEMBER), permission, resource).granted


@pins(
    "iam",
    "Policies and decisions",
    "Conditions are CEL (cel-cpp's own): request.time with its parts and zones, resource.name, type and service, "
    "extract(), and all of the language's operators and functions",
    documented="conditions reference",
)
@pytest.mark.parametrize(
    ("condition", "granted"),
    [
        (f'resource.name.startsWith("{QUEUE}")', True),
        ('resource.name.startsWith("projects/x") || resource.type == "cloudtasks.googleapis.com/Queue"', True),
        ('!(resource.service == "cloudtasks.googleapis.com")', False),
        ('request.time < timestamp("2020-01-01T00:00:00Z")', False),
        ("request.time < timestamp(\"2999-01-01T00:00:00Z\") && resource.name.endsWith('queue')", True),
        ('request.time.getHours("Europe/Berlin") in [0, 1, 2] || request.time.getFullYear() > 2020', True),
        ('request.time.getDayOfWeek("Europe/Berlin") > 7', False),
        ('request.time - duration("24h") > timestamp("2999-01-01T00:00:00Z")', False),
        ('resource.name.extract("/queues/{queue}") == "split-payment-queue"', True),
        ('resource.name.extract("locations/{place}/") == "us-central1"', True),
        ('resource.name.matches("queues/[a-z-]+$") ? true : false', True),
        ('request.time.getHours("No/Where") >= 0', False),
        ('request.time.getHours("No/Where") >= 0 || true', True),
    ],
)
async def test_conditions_are_evaluated(cloud: Cloud, condition: str, granted: bool) -> None:
    bind(cloud, PROJECT, condition)
    assert may(cloud) is granted


@pins("iam", "Policies and decisions", "A secret's resource.name has the project's number", documented="conditions")
async def test_the_name_of_a_secret_has_the_projects_number(cloud: Cloud) -> None:
    role = "roles/secretmanager.secretAccessor"
    for project, granted in (("sluice-local", False), ("123456789012", True)):
        bind(cloud, PROJECT, f'resource.name.startsWith("projects/{project}/secrets/KEY/versions/")', role)
        assert may(cloud, "secretmanager.versions.access", SECRET) is granted
    bind(cloud, PROJECT, 'resource.type == "secretmanager.googleapis.com/SecretVersion"', role)
    assert may(cloud, "secretmanager.versions.access", SECRET)


async def test_a_condition_on_time_follows_the_clouds_clock(cloud: Cloud) -> None:
    until = datetime.datetime.fromtimestamp(cloud.now() + 3600, datetime.UTC).isoformat()
    bind(cloud, QUEUE, f'request.time < timestamp("{until}")')
    assert may(cloud)
    await cloud.clock.advance(3601)
    assert not may(cloud)


@pins(
    "iam",
    "Policies and decisions",
    "What cannot be evaluated here is refused when set, with what is known: tags, access levels, destination, "
    "principal, api.getAttribute()",
    ours=True,
)
@pytest.mark.parametrize(
    "condition",
    [
        "size(x) > 1",
        "true &&",
        "(",
        "",
        '"a" + "b"',
        "request.time > 5",
        'resource.matchTag("1/env", "prod")',
        'api.getAttribute("iam.googleapis.com/modifiedGrantsByRole", []).hasOnly(["roles/viewer"])',
        'destination.ip == "10.0.0.1"',
        " && ".join(["true"] * 14),
        "é",
    ],
)
async def test_conditions_that_cannot_be_evaluated_are_refused_when_set(cloud: Cloud, condition: str) -> None:
    before = cloud.iam.get_policy(QUEUE)
    with pytest.raises(ApiError, match="Condition expression") as caught:
        bind(cloud, QUEUE, condition)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert cloud.iam.get_policy(QUEUE) == before


@pins("iam", "Policies and decisions", "No condition on basic roles, nor for allUsers", documented="conditions")
@pytest.mark.parametrize(
    ("role", "member"), [("roles/editor", MEMBER), ("roles/run.invoker", "allUsers")], ids=["basic", "everybody"]
)
async def test_some_bindings_take_no_condition(cloud: Cloud, role: str, member: str) -> None:
    binding = {"role": role, "members": [member], "condition": {"title": "t", "expression": "true"}}
    with pytest.raises(ApiError, match="Conditions can't be set"):
        cloud.iam.set_policy(PROJECT, message("google.iam.v1.Policy")(version=3, bindings=[binding]))


@pins(
    "iam",
    "Policies and decisions",
    "Resource attributes are there for every resource; a policy that Google would not fill them for is warned of",
    ours="Google has them for Secret Manager, Cloud SQL, Logging and Resource Manager alone, of those here",
)
async def test_a_condition_that_would_grant_nothing_on_google_is_told(cloud: Cloud) -> None:
    bind(cloud, QUEUE, 'resource.name.endsWith("queue")')
    assert "would grant nothing there" in cloud.log.events[-1]["message"]
    said = len(cloud.log.events)
    bind(cloud, QUEUE, 'request.time.getFullYear() > 2000 && "resource.name" != ""')
    assert len(cloud.log.events) == said


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("projects/{p}/", "a"),
        ("{first}/", "projects"),
        ("/secrets/{rest}", "b/versions/1"),
        ("secrets/{s}/versions/", "b"),
        ("none/{x}", ""),
        ("secrets/{x}/none", ""),
    ],
)
def test_extract_reads_what_stands_where_the_template_has_its_name(template: str, found: str) -> None:
    assert extract("projects/a/secrets/b/versions/1", template) == found
