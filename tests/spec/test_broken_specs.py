"""Every broken spec is refused in under a second, with its place, the reason and the fix; nothing is deployed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spec import SpecErrors, load
from tests.spec.conftest import GCHOSTPAY, HOSTPAY_QUEUE, PROD, SPLIT_QUEUE, Project, line_of

Break = Callable[[Project], object]

LONG = "gc" + "very-long-name-" * 3 + "service"

LONG_SERVICE = """\
# yaml-language-server: $schema=../../queue_configs/schema/service.json
description: A service whose name is too long for a URL.
"""


def edit(file: str, old: str, new: str) -> Break:
    return lambda project: project.replace(file, old, new)


def second_file(project: Project) -> None:
    text = (project.root / SPLIT_QUEUE).read_text()
    project.write(SPLIT_QUEUE.replace(".yaml", ".yml"), text)


BROKEN = {
    "unknown key": (
        edit(HOSTPAY_QUEUE, "rate:", "rates:"),
        f"{HOSTPAY_QUEUE}:8:1: error: rates: there is no key 'rates' here",
        "would be ignored",
        "did you mean rate?",
    ),
    "unknown service": (
        edit(HOSTPAY_QUEUE, "to: gchostpay", "to: gchostpya"),
        f"{HOSTPAY_QUEUE}:5:5: error: to: there is no service 'gchostpya'",
        "no URL to go to",
        "did you mean gchostpay?",
    ),
    "unknown sender": (
        edit(HOSTPAY_QUEUE, "[gcsplit]", "[gcsplit, gcspilt]"),
        f"{HOSTPAY_QUEUE}:4:17: error: from[1]: there is no service 'gcspilt'",
        "nobody could enqueue",
        "did you mean gcsplit?",
    ),
    "min_backoff above max_backoff": (
        edit(HOSTPAY_QUEUE, "min_backoff: 5s", "min_backoff: 20s"),
        f"{HOSTPAY_QUEUE}:9:39: error: retry.min_backoff: 20s is above max_backoff, which is 15s",
        "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        "lower min_backoff to 15s or less",
    ),
    "rate of 501": (
        edit(HOSTPAY_QUEUE, "dispatches_per_second: 50", "dispatches_per_second: 501"),
        f"{HOSTPAY_QUEUE}:8:31: error: rate.dispatches_per_second: 501 is above 500",
        "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        "up to 500",
    ),
    "a message its receiver does not handle": (
        edit(HOSTPAY_QUEUE, "message: HostPayOrder", "message: SplitOrder"),
        f"{HOSTPAY_QUEUE}:7:10: error: message: gchostpay handles HostPayOrder at /hostpay_webhook, not SplitOrder",
        "could not decode",
        "write message: HostPayOrder",
    ),
    "a path its receiver does not handle": (
        edit(HOSTPAY_QUEUE, "path: /hostpay_webhook", "path: /"),
        f"{HOSTPAY_QUEUE}:6:7: error: path: gchostpay handles nothing at /",
        "404",
        "did you mean /hostpay_webhook?",
    ),
    "token window shorter than the first retry": (
        edit(HOSTPAY_QUEUE, "token_window: 60s", "token_window: 4s"),
        f"{HOSTPAY_QUEUE}:11:15: error: token_window: the token lives 4s, but the first retry comes after 5s",
        "every retry would arrive with an expired token",
        "write a token_window above 5s",
    ),
    "duplicate name in two files": (
        second_file,
        "queue_configs/tasks/split-payment-queue.yml:1:1: error: the queue split-payment-queue is declared here and in "
        "queue_configs/tasks/split-payment-queue.yaml",
        "only one of the two would be deployed",
        "delete one of the two files",
    ),
    "a secret nobody declares": (
        edit(GCHOSTPAY, "ETHEREUM_RPC_URL", "ETHERUM_RPC_URL"),
        f"{GCHOSTPAY}:{line_of(GCHOSTPAY, 'secrets:')}:80: error: secrets[3]: nobody declares the secret "
        "'ETHERUM_RPC_URL'",
        "would not start",
        "did you mean ETHEREUM_RPC_URL?",
    ),
    "a URL label over 63 characters": (
        lambda project: project.write(f"service_code/{LONG}/service.yaml", LONG_SERVICE),
        f"service_code/{LONG}/service.yaml:1:1: error: "
        f"the URL label previous---{LONG}-PROJECT_NUMBER has 78 characters",
        "a label of a host name has at most 63",
        "rename the folder to at most 30 characters",
    ),
    "bad YAML": (
        edit(HOSTPAY_QUEUE, "concurrent: 20}", "concurrent: 20"),
        f"{HOSTPAY_QUEUE}:8:7: error: this is not YAML: the bracket opened here is not closed: in line 9",
        "missing from the deployment",
        "close it",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_spec_is_refused_with_place_reason_and_fix(project: Project, broken: str) -> None:
    damage, first_line, reason, fix = BROKEN[broken]
    damage(project)
    with pytest.raises(SpecErrors) as refused:
        load(project.root, "prod")

    blocks = str(refused.value).split("\n")
    place = next(number for number, line in enumerate(blocks) if line.startswith(first_line))
    assert reason in blocks[place + 1]
    assert fix in blocks[place + 2]


@pytest.mark.parametrize("broken", sorted(set(BROKEN) - {"a URL label over 63 characters"}))
def test_one_mistake_is_one_error(project: Project, broken: str) -> None:
    BROKEN[broken][0](project)

    assert len(project.errors()) == 1


def test_all_mistakes_of_all_files_are_shown_together_in_the_order_of_files(project: Project) -> None:
    project.replace(HOSTPAY_QUEUE, "concurrent: 20", "concurrent: 6000")
    project.replace(HOSTPAY_QUEUE, "rate:", "colour: red\nrate:")
    project.replace(SPLIT_QUEUE, "max_backoff: 60s", "max_backoff: sixty")
    project.replace(GCHOSTPAY, "database: true", "databse: true")
    project.replace(PROD, "us-central1", "Ohio")

    with pytest.raises(SpecErrors) as refused:
        load(project.root, "prod")

    assert [str(found.where) for found in refused.value.findings] == [
        f"{HOSTPAY_QUEUE}:8:1",
        f"{HOSTPAY_QUEUE}:9:47",
        f"{SPLIT_QUEUE}:8:56",
        f"{GCHOSTPAY}:{line_of(GCHOSTPAY, 'database:')}:1",
        f"{PROD}:4:15",
    ]
    assert str(refused.value).endswith("5 errors")


def test_a_file_that_cannot_be_used_does_not_make_its_name_unknown(project: Project) -> None:
    project.replace(GCHOSTPAY, "database: true", "database: perhaps")

    assert project.only_error().key == "database"
