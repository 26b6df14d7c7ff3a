"""Config of the foundation: what Google would refuse, or what would fail at the next release, is refused at load."""

from __future__ import annotations

import pytest

from spec import network
from spec.ci import Ci
from tests.spec.conftest import PROD_CONFIG, Project

FOUNDATION = "stacks/Pulumi.foundation-prod.yaml"


def with_config(project: Project, lines: str) -> None:
    project.write(FOUNDATION, PROD_CONFIG + lines)


@pytest.mark.parametrize(
    ("lines", "key", "what"),
    [
        ("  sluice:network: {subnet: 10.0.0.1/20}\n", "subnet", "host bits"),
        ("  sluice:network: {subnet: 8.8.8.0/24}\n", "subnet", "not a private range"),
        ("  sluice:network: {services: 172.17.0.0/20}\n", "services", "Cloud SQL uses itself"),
        ("  sluice:network: {subnet: 10.0.0.0/27}\n", "subnet", "/27 is smaller than /26"),
        ("  sluice:network: {services: 10.16.0.0/25}\n", "services", "/25 is smaller than /24"),
        ("  sluice:network: {services: 10.0.0.0/22}\n", "services", "overlap"),
        ("  sluice:database: {kept_backups: 366}\n", "kept_backups", "366 is above 365"),
        ("  sluice:database: {kept_backups: 3}\n", "kept_backups", "do not reach back 7 days"),
        ("  sluice:database: {kept_log_days: 8}\n", "kept_log_days", "8 is above 7"),
        ("  sluice:database: {maintenance_day: 0}\n", "maintenance_day", "0 is below 1"),
        ("  sluice:database: {publicAddress: true}\n", "publicAddress", "there is no key 'publicAddress'"),
        ("  sluice:logs: {payment_days: 4000}\n", "payment_days", "4000 is above 3650"),
        ("  sluice:logs: {data_access: [secrets]}\n", "data_access[0]", "secrets"),
        ("  sluice:budget: {amount: 5}\n", "billing_account", "missing"),
        ("  sluice:budget: {billing_account: 1-2-3, amount: 5}\n", "billing_account", "1-2-3"),
        ("  sluice:budget: {billing_account: 012345-6789AB-CDEF01, amount: 0}\n", "amount", "0 is below 1"),
        ("  sluice:ci: {repository: https://github.com/a/b}\n", "repository", "https"),
        ("  sluice:ci: {repository: a/b, state_key: sluice}\n", "state_key", "sluice"),
    ],
)
def test_what_could_not_work_is_refused_with_its_key(project: Project, lines: str, key: str, what: str) -> None:
    with_config(project, lines)
    found = project.only_error()
    assert found.key.endswith(key)
    assert what in found.what
    assert found.breaks
    assert found.fix
    assert found.where.line == len(PROD_CONFIG.splitlines()) + 1


#: A database that takes the connections of all services during a rollout.
ROOMY = "  sluice:databaseTier: db-custom-2-7680\n"


def test_a_subnet_that_a_rollout_would_exhaust_is_refused(project: Project) -> None:
    with_config(project, "  sluice:network: {subnet: 10.0.0.0/24}\n" + ROOMY)
    found = project.only_error()
    assert found.rule == "SL930"
    assert "10.0.0.0/24 has room for 252 addresses" in found.what
    assert "/23 or larger" in found.fix


def test_a_service_that_may_grow_too_far_for_the_subnet_is_seen_in_the_foundation(project: Project) -> None:
    with_config(project, ROOMY)
    assert project.errors() == []
    project.replace("service_code/gchostpay/service.yaml", "database: true", "database: true\nscaling: {max: 1000}")
    (found,) = [error for error in project.errors() if error.rule == "SL930"]
    assert found.where.file.name == "Pulumi.foundation-prod.yaml"


def test_addresses_come_in_blocks_of_sixteen_two_an_instance_for_the_old_and_the_new_revision() -> None:
    assert network.addresses([]) == network.JOB
    assert network.addresses([1]) == network.JOB + 2 * 16
    assert network.addresses([100]) - network.JOB == pytest.approx(400, abs=2 * 16), "Google's own example"
    assert network.addresses([10] * 13) <= network.Network().room


def test_a_key_of_the_foundation_in_the_layer_above_is_refused(project: Project) -> None:
    project.replace(
        "stacks/Pulumi.prod.yaml", "  sluice:imageDigest", "  sluice:databaseStandby: true\n  sluice:imageDigest"
    )
    found = project.only_error()
    assert (found.rule, found.key) == ("SL931", "config.sluice:databaseStandby")
    assert "Pulumi.foundation-prod.yaml" in found.fix


def test_tokens_are_believed_of_the_repositorys_pull_requests_and_of_its_branch_alone() -> None:
    ci = Ci(repository="acme/payments", repository_id="42")
    assert ci.previews() == ("repo:acme/payments:pull_request", "repo:acme/payments:ref:refs/heads/main")
    assert ci.deploys("prod") == "repo:acme/payments:environment:prod"
    assert ci.condition() == (
        "assertion.repository == 'acme/payments' && assertion.repository_id == '42' && "
        "(assertion.sub == 'repo:acme/payments:pull_request' || assertion.ref == 'refs/heads/main')"
    )
