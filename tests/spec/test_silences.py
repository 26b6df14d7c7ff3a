"""A file says with a reason what it breaks on purpose; a wrong word is told of, and what Google refuses stays so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spec import Report, SpecErrors, load, report
from tests.spec.lint_pages import Example, lay

QUEUE = "queue_configs/tasks/order-queue.yaml"
APP = "service_code/intake/app.py"
PROD = "stacks/Pulumi.prod.yaml"
FOUNDATION = "stacks/Pulumi.foundation-prod.yaml"

LOOSE = 'import asyncio\n\nNAMES = ["order-queue", "news"]\n\n\nasync def take(order):\n    asyncio.create_task(tell())'


def told(root: Path, *files: tuple[str, str]) -> Report:
    lay([Example(path, text, whole=False) for path, text in files], root / "project")
    return report(root / "project")


def rules(found: Report) -> list[str]:
    return sorted(finding.rule for finding in found.findings)


def test_a_silenced_finding_is_kept_with_its_reason(tmp_path: Path) -> None:
    found = told(tmp_path, (QUEUE, "retry: {task_age_limit: 5s}\nlint: {SL205: the attempts alone may end it}\n"))

    assert rules(found) == []
    (silenced,) = found.silenced
    assert (silenced.finding.rule, silenced.reason) == ("SL205", "the attempts alone may end it")


def test_a_silence_counts_for_its_own_file_alone(tmp_path: Path) -> None:
    other = "from: [intake]\nto: cashier\npath: /pay\nmessage: Order\n"
    files = [
        (QUEUE, "retry: {task_age_limit: 5s}\nlint: {SL205: the attempts alone may end it}\n"),
        ("queue_configs/tasks/late-queue.yaml", other + "retry: {max_attempts: 5, task_age_limit: 1s}\n"),
        (APP, 'NAMES = ["order-queue", "late-queue", "news"]\n'),
    ]
    found = told(tmp_path, *files)

    assert [str(finding.where.file) for finding in found.findings] == ["queue_configs/tasks/late-queue.yaml"]


def test_a_silenced_judgement_does_not_stop_a_deployment(tmp_path: Path) -> None:
    files = [(FOUNDATION, "config:\n  sluice:lint: {SL306: nobody outside reaches this project}\n")]
    files += [(PROD, 'config:\n  sluice:settings: {CURRENCY: "allUsers"}\n')]
    lay([Example(path, text, whole=False) for path, text in files], tmp_path / "project")
    with pytest.raises(SpecErrors, match="SL306"):
        load(tmp_path / "project", "prod")

    silent = files[1][1] + "  sluice:lint: {SL306: a currency of this name exists}\n"
    lay([Example(PROD, silent, whole=False)], tmp_path / "silent")
    assert load(tmp_path / "silent", "prod").stack is not None


def test_what_google_would_refuse_is_refused_all_the_same(tmp_path: Path) -> None:
    desk = "description: A desk.\noperator_paths: [/]\nlint: {SL108: short names are nice}\n"
    found = told(tmp_path, ("service_code/desk/service.yaml", desk))

    assert rules(found) == ["SL108", "SL133"]


def test_a_silence_for_a_stack_stands_in_its_config(tmp_path: Path) -> None:
    small = ("service_code/cashier/service.yaml", "scaling: {max: 10}\npool: 10\n")
    reason = "config:\n  sluice:lint: {SL601: one person uses this database}\n"
    found = told(tmp_path, small, (FOUNDATION, reason))

    assert rules(found) == []
    assert [one.finding.rule for one in found.silenced] == ["SL601"]


def test_code_is_silenced_in_its_line(tmp_path: Path) -> None:
    found = told(tmp_path, (APP, f"{LOOSE}  # lint: SL705 nobody misses this one\n"))

    assert rules(found) == []
    assert [one.reason for one in found.silenced] == ["nobody misses this one"]


def test_a_comment_in_another_line_silences_nothing_and_is_told_of(tmp_path: Path) -> None:
    found = told(tmp_path, (APP, f"# lint: SL705 nobody misses this one\n{LOOSE}\n"))

    assert rules(found) == ["SL132", "SL705"]


def test_a_silence_without_effect_is_not_judged_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    silence = "lint: {SL205: the attempts alone may end it}\n"
    found = told(tmp_path, (QUEUE, silence), ("queue_configs/secrets/SIGNING_KEY.yaml", "colour: red\n"))

    assert rules(found) == ["SL102"]


KEY = f"-----BEGIN PRIVATE KEY-----\n{'A' * 64}\n-----END PRIVATE KEY-----\n"
PEM = "tests/tls/key.pem"


def test_a_file_that_takes_no_comment_is_silenced_in_a_list(tmp_path: Path) -> None:
    silences = f"files:\n  {PEM}:\n    SL313: made for the tests, opens nothing\n"
    found = told(tmp_path, (PEM, KEY), ("queue_configs/silences.yaml", silences))

    assert rules(found) == []
    assert [(str(one.finding.where.file), one.reason) for one in found.silenced] == [
        (PEM, "made for the tests, opens nothing")
    ]


def test_a_list_that_silences_nothing_or_says_no_reason_is_told_of_at_its_line(tmp_path: Path) -> None:
    said = ("queue_configs/silences.yaml", f"files:\n  {PEM}:\n    SL313: made for the tests, opens nothing\n")
    (finding,) = told(tmp_path / "a", said).findings
    assert (finding.rule, str(finding.where)) == ("SL132", "queue_configs/silences.yaml:4:5")
    short = (said[0], f"files: {{{PEM}: {{SL313: because}}}}\n")
    assert rules(told(tmp_path / "b", (PEM, KEY), short)) == ["SL134"]
    assert rules(told(tmp_path / "c", (said[0], "file: {}\n"))) == ["SL102", "SL103"]


def test_what_git_ignores_is_not_asked_and_what_it_would_take_is(tmp_path: Path) -> None:
    root = tmp_path / "project"
    files = [(".gitignore", "scratch/\n"), ("scratch/key.pem", KEY), ("build/key.pem", KEY), (".keys/key.pem", KEY)]
    lay([Example(path, text, whole=True) for path, text in files], root)
    assert [str(found.where.file) for found in report(root).findings] == ["scratch/key.pem"], "without git it walks"

    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "build"], cwd=root, check=True)
    assert [str(found.where.file) for found in report(root).findings] == [".keys/key.pem", "build/key.pem"]
    (root / "build/key.pem").unlink()
    assert [str(found.where.file) for found in report(root).findings] == [".keys/key.pem"]


def test_the_public_doors_of_the_project_are_those_that_say_why() -> None:
    root = Path(__file__).resolve().parents[2]
    doors = [one.finding.where.file.parent.name for one in report(root).silenced if one.finding.rule == "SL305"]
    assert doors == ["gchostpay4", "gcregister", "gcwebhook", "paynowwebhook"]
