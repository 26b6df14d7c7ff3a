"""Stack config: what Pulumi writes is taken, what is unsafe or unknown is refused."""

from __future__ import annotations

import pytest

from spec import SpecErrors, load, stack_config
from tests.spec.conftest import PROD, PROD_CONFIG, Project

LOCAL = """\
# yaml-language-server: $schema=../queue_configs/schema/stack.json
config:
  gcp:project: sluice-local
  gcp:region: us-central1
  gcp:cloudTasksCustomEndpoint: http://127.0.0.1:8080/v2/
  gcp:accessToken: {secure: v1:abc}
  sluice:projectNumber: 123456789012
  sluice:serviceUrl: http://127.0.0.1:8080/run/{label}.{region}
  sluice:databaseUrl: postgresql://{user}@127.0.0.1:5432/payments
  sluice:endpoints:
    cloud_tasks: http://127.0.0.1:8081
    clock: file:///tmp/clock
  sluice:secretVersions:
    CHANGENOW_API_KEY: 2
encryptionsalt: v1:salt
secretsprovider: passphrase
"""


def test_a_file_as_pulumi_writes_it_is_taken(project: Project) -> None:
    project.write("stacks/Pulumi.local.yaml", LOCAL)

    stack = stack_config(project.root, "local")

    assert (stack.name, stack.env, stack.is_local, stack.is_foundation) == ("local", "local", True, False)
    assert stack.project_number == "123456789012"
    assert stack.url("gcsplit") == "http://127.0.0.1:8080/run/gcsplit-123456789012.us-central1"
    assert stack.endpoints["clock"] == "file:///tmp/clock"
    assert (stack.secret_version("CHANGENOW_API_KEY"), stack.secret_version("TELEGRAM_BOT_TOKEN")) == ("2", "1")
    assert stack.others["gcp:accessToken"] == {"secure": "v1:abc"}


def test_a_stack_stands_in_the_system(project: Project) -> None:
    system = load(project.root, "prod")

    assert system.stack is not None
    assert system.stack.url("gcsplit", tag="canary") == "https://canary---gcsplit-123456789012.us-central1.run.app"


def test_config_of_a_running_program_replaces_the_file(project: Project) -> None:
    values = {
        "gcp:project": "sluice-local",
        "gcp:region": "us-central1",
        "sluice:projectNumber": "123456789012",
        "sluice:settings": "{}",
        "sluice:protect": "false",
        "gcp:accessToken": "opened by Pulumi",
        "sluice:secretVersions": '{"CHANGENOW_API_KEY": "7"}',
    }

    stack = stack_config(project.root, "local", values)

    assert stack.secret_version("CHANGENOW_API_KEY") == "7"
    assert stack.protect is False
    assert stack.project_number == "123456789012"


def test_config_of_a_running_program_is_refused_in_words_too(project: Project) -> None:
    with pytest.raises(SpecErrors, match=r"sluice:projectNumber: the key is missing"):
        load(project.root, "local", {"gcp:project": "sluice-local", "gcp:region": "us-central1"})


def test_text_that_is_no_json_is_refused_in_words(project: Project) -> None:
    with pytest.raises(SpecErrors, match="sluice:settings"):
        load(project.root, "local", {"sluice:settings": "{"})


def test_an_unknown_stack_is_refused_with_the_nearest(project: Project) -> None:
    with pytest.raises(SpecErrors, match=r"there is no stack 'prd'[\s\S]*did you mean prod\?"):
        load(project.root, "prd")


def test_a_broken_stack_does_not_stop_another(project: Project) -> None:
    project.write("stacks/Pulumi.staging.yaml", "config: 5\n")

    assert load(project.root, "prod").stack is not None
    assert project.only_error().where.file.name == "Pulumi.staging.yaml"


def test_the_foundation_needs_no_image(project: Project) -> None:
    text = PROD_CONFIG.replace(
        f"  sluice:imageDigest: sha256:{'a' * 64}\n", "  sluice:databaseTier: db-custom-2-7680\n"
    )
    project.write("stacks/Pulumi.foundation-prod.yaml", text)

    stack = stack_config(project.root, "foundation-prod")

    assert (stack.is_foundation, stack.env) == (True, "prod")
    assert project.findings() == ()


@pytest.mark.parametrize(
    ("line", "key", "what"),
    [
        ("sluice:imageDigst: x", "config.sluice:imageDigst", "there is no key 'sluice:imageDigst'"),
        ("imageDigest: x", "config.imageDigest", "there is no key 'imageDigest'"),
        ("sluice:endpoints: {clock: file:///x}", "config.sluice:endpoints", "outside of a local stack"),
        ("gcp:runCustomEndpoint: http://x/", "config.gcp:runCustomEndpoint", "outside of a local stack"),
        ("sluice:serviceUrl: http://x/{label}", "config.sluice:serviceUrl", "outside of a local stack"),
        ("sluice:serviceUrl: http://x/{service}", "config.sluice:serviceUrl", "another placeholder"),
        ("sluice:serviceUrl: http://x", "config.sluice:serviceUrl", "has no {label}"),
        ("sluice:serviceUrl: http://{label}/", "config.sluice:serviceUrl", "without a slash at its end"),
        ("gcp:credentials: '{}'", "config.gcp:credentials", "secret in plain text"),
        ("sluice:settings: {PORT: 80}", "config.sluice:settings.PORT", "set by the platform"),
        ("sluice:settings: {CHANGENOW_API_KEY: x}", "config.sluice:settings.CHANGENOW_API_KEY", "is a secret"),
        ("sluice:settings: {SLACK: {secure: x}}", "config.sluice:settings.SLACK", "a mapping is not text"),
        ("sluice:secretVersions: {CHANGENOW_API_KEY: latest}", "config.sluice:secretVersions.CHANGENOW_API_KEY",
         "'latest' is not the number of a version"),
        ("sluice:secretVersions: {CHANGENOW_API_KEY: 0}", "config.sluice:secretVersions.CHANGENOW_API_KEY",
         "'0' is not the number of a version"),
        ("sluice:secretVersions: {CHANGENOW_KEY: 2}", "config.sluice:secretVersions.CHANGENOW_KEY",
         "nobody declares the secret"),
        ("sluice:databaseUrl: postgresql://a:b@c/payments", "config.sluice:databaseUrl", "a URL with a password"),
        ("sluice:databaseUrl: mysql://a/b", "config.sluice:databaseUrl", "does not have the right form"),
    ],
)  # fmt: skip
def test_an_unsafe_or_unknown_value_is_refused_at_its_line(project: Project, line: str, key: str, what: str) -> None:
    project.replace(PROD, "config:\n", f"config:\n  {line}\n")

    found = project.only_error()

    assert (found.key, found.where.line) == (key, 3)
    assert what in found.what


@pytest.mark.parametrize(
    "digest", ["latest", "sha256:abc", "sha256:" + "A" * 64, "sha256:" + "a" * 65, "services:v1", "a" * 64]
)
def test_an_image_that_is_no_digest_is_refused(project: Project, digest: str) -> None:
    project.replace(PROD, f"sha256:{'a' * 64}", digest)

    assert "only a digest names one image" in project.only_error().breaks


def test_a_release_without_an_image_is_refused(project: Project) -> None:
    project.replace(PROD, f"  sluice:imageDigest: sha256:{'a' * 64}\n", "")

    assert project.only_error().what == "sluice:imageDigest is missing"


def test_a_project_number_in_octal_looking_text_stays_text(project: Project) -> None:
    project.replace(PROD, '"123456789012"', "0123456789012")

    assert "does not have the right form" in project.only_error().what


def test_a_setting_that_no_service_reads_is_warned_of(project: Project) -> None:
    project.replace(PROD, "config:\n", "config:\n  sluice:settings: {UNREAD: 1}\n")

    assert project.only_warning().what == "no service declares UNREAD in its config"
