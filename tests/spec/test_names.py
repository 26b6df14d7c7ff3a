"""Derived names: the same for everybody, within Google's limits, and never shared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spec import names

queue_ids = st.from_regex(r"[a-z][a-z0-9-]{0,80}[a-z0-9]-queue", fullmatch=True)


def test_accounts_are_named_after_what_they_serve() -> None:
    assert names.service_account_id("gcwebhook") == "gcwebhook"
    assert names.invoker_account_id("hostpay-execution-queue") == "hostpay-execution-invoker"
    assert names.scheduler_account_id("gcsplit") == "gcsplit-scheduler"
    assert names.account_email("gcsplit", "sluice-local") == "gcsplit@sluice-local.iam.gserviceaccount.com"


def test_a_long_account_id_is_cut_and_told_apart_by_a_hash() -> None:
    one = names.invoker_account_id("gcsplit-hostpay-trigger-first-queue")
    other = names.invoker_account_id("gcsplit-hostpay-trigger-second-queue")

    assert one != other
    assert len(one) == len(other) == names.ACCOUNT_ID_LONGEST
    assert one.startswith("gcsplit-hostpay-trigger-f")


@given(queue_ids)
def test_every_queue_gets_an_account_id_that_google_takes(queue: str) -> None:
    account = names.invoker_account_id(queue)

    assert names.ACCOUNT_ID_SHORTEST <= len(account) <= names.ACCOUNT_ID_LONGEST
    assert names.ACCOUNT_ID.fullmatch(account)


def test_urls_are_known_before_the_service_exists() -> None:
    google = "https://{label}.{region}.run.app"
    local = "http://127.0.0.1:8080/run/{label}.{region}"
    known = {"project_number": "123456789012", "region": "us-central1"}

    assert names.service_url(google, "gcsplit", **known) == "https://gcsplit-123456789012.us-central1.run.app"
    assert (
        names.service_url(local, "gcsplit", **known, tag="canary")
        == "http://127.0.0.1:8080/run/canary---gcsplit-123456789012.us-central1"
    )


def test_resources_are_named_in_full() -> None:
    assert names.queue_path("p", "l", "q") == "projects/p/locations/l/queues/q"
    assert names.custom_role("p") == "projects/p/roles/sluiceTaskCreator"
    assert names.secret_path("p", "KEY") == "projects/p/secrets/KEY"
    assert names.scheduler_job("gcsplit", "sweep") == "gcsplit-sweep"
    assert names.image("us-central1", "p", "sha256:ab") == "us-central1-docker.pkg.dev/p/sluice/services@sha256:ab"
    assert names.cloud_sql_user("gcsplit", "p") == "gcsplit@p.iam"
