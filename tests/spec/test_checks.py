"""The other rules between files: names, doors, roles, secrets."""

from __future__ import annotations

import pytest

from spec.service import PROJECT_ROLES
from tests.spec.conftest import GCHOSTPAY, GCWEBHOOK, HOSTPAY_QUEUE, SPLIT_QUEUE, Project, line_of

SERVICE = """\
# yaml-language-server: $schema=../../queue_configs/schema/service.json
description: A service of a test.
"""
SECRET = """\
# yaml-language-server: $schema=../schema/secret.json
description: A secret of a test.
"""


def test_an_unread_secret_is_warned_of(project: Project) -> None:
    project.write("queue_configs/secrets/OLD_KEY.yaml", SECRET)

    assert project.only_warning().what == "no service reads OLD_KEY"


def test_a_handled_path_that_no_queue_leads_to_is_warned_of(project: Project) -> None:
    project.replace(GCHOSTPAY, "  /confirm: ConfirmPayout", "  /confirm: ConfirmPayout\n  /refund: Refund")

    found = project.only_warning()

    assert (found.key, found.what) == ("handles./refund", "no queue or topic leads to /refund")


def test_a_missing_schema_line_is_warned_of_with_the_line_to_write(project: Project) -> None:
    project.replace(HOSTPAY_QUEUE, "# yaml-language-server: $schema=../schema/task_queue.json\n", "")

    assert "# yaml-language-server: $schema=../schema/task_queue.json" in project.only_warning().fix


@pytest.mark.parametrize("role", ["roles/editor", "roles/cloudtasks.enqueuer", "roles/run.invoker", "cloudsql.client"])
def test_a_role_on_the_whole_project_outside_the_short_list_is_refused(project: Project, role: str) -> None:
    project.replace(GCHOSTPAY, "timeout: 40s", f"timeout: 40s\nproject_roles: [{role}]")

    found = project.only_error()

    assert found.what == f"{role} may not be given on the whole project"
    assert str(found.where) == f"{GCHOSTPAY}:{line_of(GCHOSTPAY, 'timeout:') + 1}:17"


@pytest.mark.parametrize("role", PROJECT_ROLES)
def test_roles_of_the_short_list_are_taken(project: Project, role: str) -> None:
    project.replace(GCHOSTPAY, "timeout: 40s", f"timeout: 40s\nproject_roles: [{role}]")

    assert project.findings() == ()


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/grant-access", "handles./grant-access"),
        ("/sweep", "schedules.sweep.path"),
        ("/payments/1", "operator_paths[0]"),
    ],
)
def test_a_guarded_path_that_is_public_too_is_refused(project: Project, path: str, key: str) -> None:
    project.replace(GCWEBHOOK, "public: [/, /health]", f"public: [/, {path}]")

    found = project.only_error()

    assert found.key == key
    assert "anybody could call it" in found.breaks


def test_a_schedule_that_calls_a_message_path_is_refused(project: Project) -> None:
    project.replace(GCHOSTPAY, "path: /sweep", "path: /confirm")

    assert "the scheduler sends no message" in project.only_error().breaks


@pytest.mark.parametrize(
    "cron",
    ["* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
     "a * * * *", "@daily", "", "* * * foo *", "*/5 * * * * *"],
)  # fmt: skip
def test_a_schedule_that_is_no_cron_is_refused(project: Project, cron: str) -> None:
    project.replace(GCHOSTPAY, '"* * * * *"', f'"{cron}"')

    found = project.only_error()

    assert found.key == "schedules.sweep.cron"
    assert "*/5 * * * *" in found.fix


@pytest.mark.parametrize("cron", ["0 0 1 1 *", "*/15 9-17 * * mon-fri", "0,30 * * jan,jul 0", "5 4 * * 7"])
def test_cron_as_google_writes_it_is_taken(project: Project, cron: str) -> None:
    project.replace(GCHOSTPAY, '"* * * * *"', f'"{cron}"')

    assert project.findings() == ()


def test_a_service_whose_name_is_no_account_id_is_refused(project: Project) -> None:
    project.write("service_code/gcx/service.yaml", SERVICE)

    assert project.only_error().what == "the account id 'gcx' has 3 characters"


@pytest.mark.parametrize("name", ["GcSplit2", "gc_split", "2split-it", "gcsplit-"])
def test_a_folder_whose_name_google_refuses_is_refused(project: Project, name: str) -> None:
    project.write(f"service_code/{name}/service.yaml", SERVICE)

    assert any("is no name for a service" in found.what for found in project.errors())


def test_two_things_with_one_account_are_refused(project: Project) -> None:
    project.write("service_code/split-payment-invoker/service.yaml", SERVICE)

    assert "the account split-payment-invoker would belong to the service split-payment-invoker too" in (
        project.only_error().what
    )


@pytest.mark.parametrize(("name", "of"), [("sluice-operator", "operator"), ("sluice-migrator", "migrations")])
def test_a_service_named_as_an_account_of_the_platform_is_refused(project: Project, name: str, of: str) -> None:
    project.write(f"service_code/{name}/service.yaml", SERVICE)

    assert f"would belong to the account of the {of} too" in project.only_error().what


def test_an_entry_listed_twice_is_refused(project: Project) -> None:
    project.replace(SPLIT_QUEUE, "from: [gcwebhook]", "from: [gcwebhook, gcwebhook]")

    found = project.only_error()

    assert (found.key, found.what) == ("from[1]", "gcwebhook is listed twice")


@pytest.mark.parametrize("name", ["PORT", "QUEUES", "DATABASE_URL", "K_SERVICE"])
def test_config_may_not_set_what_the_platform_sets(project: Project, name: str) -> None:
    project.replace(GCHOSTPAY, "config:\n", f"config:\n  {name}: x\n")

    assert f"{name} is set by the platform" in project.only_error().what


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST_WALLET_PRIVATE_KEY", "abc"),
        ("ALCHEMY_API_KEY", "abc"),
        ("HOST_WALLET", "0x" + "ab" * 32),
        ("NODE", "https://user:pass@node.example"),
        ("BOT", "xoxb-1234"),
    ],
)
def test_a_secret_in_a_services_config_is_refused(project: Project, name: str, value: str) -> None:
    project.replace(GCHOSTPAY, "config:\n", f'config:\n  {name}: "{value}"\n')

    found = project.only_error()

    assert "plain text" in found.breaks
    assert value not in str(found).replace(name, "")


def test_config_keeps_numbers_as_they_are_written(project: Project) -> None:
    from spec import load

    project.replace(GCHOSTPAY, "config:\n", "config:\n  A: 5.10\n  B: 0012\n  C: true\n  D: on\n  E: 1e3\n")

    config = load(project.root).service("gchostpay").config

    assert config | {"A": "5.10", "B": "0012", "C": "true", "D": "on", "E": "1e3"} == config


@pytest.mark.parametrize(
    "resources",
    ["{cpu: 3}", "{memory: 1G}", "{memory: 64Mi}", "{cpu: 4, memory: 1Gi}", "{cpu: 1, memory: 8Gi}", "{cpu: 0.5}"],
)
def test_resources_that_cloud_run_refuses_are_refused(project: Project, resources: str) -> None:
    project.replace(GCHOSTPAY, "timeout: 40s", f"timeout: 40s\nresources: {resources}")

    assert "Cloud Run refuses" in project.only_error().breaks


def test_fewer_instances_at_most_than_at_least_are_refused(project: Project) -> None:
    project.replace(GCHOSTPAY, "timeout: 40s", "timeout: 40s\nscaling: {min: 3, max: 2}")

    assert project.only_error().what == "3 is above scaling.max, which is 2"
