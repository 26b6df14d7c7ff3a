"""Whatever lies in the folders, the answer is a finding with a place and a fix, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spec import SpecErrors, load
from tests.spec.conftest import GCHOSTPAY, HOSTPAY_QUEUE, Project

QUEUE = "queue_configs/tasks/strange-queue.yaml"

STRANGE = {
    "empty": (b"", 1, 1, "the file is empty"),
    "only a comment": (b"# nothing\n", 1, 1, "the file is empty"),
    "a list at top": (b"\n- from\n- to\n", 2, 1, "a list stands where keys are expected"),
    "a word at top": (b"queue\n", 1, 1, "a single value stands where keys are expected"),
    "not UTF-8": (b"from: [a]\nto: caf\xe9\n", 2, 8, "byte 0xe9 is not UTF-8"),
    "UTF-16": ("from: [a]\n".encode("utf-16"), 1, 1, "byte 0xff is not UTF-8"),
    "a tab": (b"rate:\n\tconcurrent: 5\n", 2, 1, "found character that cannot start any token"),
    "a control character": (b"to: a\x00b\n", 1, 6, "control characters are not allowed"),
    "an alias": (b"from: &a [x]\nto: *a\n", 2, 5, "an alias is used (*a)"),
    "a list in itself": (b"from: &a [*a]\n", 1, 11, "an alias is used (*a)"),
    "a merge key": (b"<<: {to: x}\n", 1, 1, "merge keys are not read"),
    "a tag": (b"to: !!python/name:os.system x\n", 1, 5, "is not read"),
    "a list as key": (b"[a, b]: c\n", 1, 1, "a list or mapping is used as a key"),
    "a key twice": (b"to: a\npath: /\nto: b\n", 3, 1, "the key stands here again, after line 1"),
    "two documents": (b"to: a\n---\nto: b\n", 2, 1, "a second document starts here"),
    "an open quote": (b'to: "a\npath: /\n', 1, 5, "the quote opened here is never closed"),
    "a hundred thousand brackets": (b"[" * 100_000, 1, 17, "nested too deep"),
    "a hundred thousand dashes": (b"- " * 100_000, 1, 33, "nested too deep"),
    "a large file": (b"# " + b"x" * 300_000, 1, 1, "too many for a spec"),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_file_is_refused_at_its_place(project: Project, strange: str) -> None:
    content, line, column, what = STRANGE[strange]
    (project.root / QUEUE).write_bytes(content)

    found = project.only_error()

    assert str(found.where) == f"{QUEUE}:{line}:{column}"
    assert what in found.what
    assert found.breaks
    assert found.fix


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("max_attempts: 3", "max_attempts: .nan", ".nan is not a whole number"),
        ("max_attempts: 3", "max_attempts: 99999999999999999999999", "is above 2147483647"),
        ("max_attempts: 3", f"max_attempts: {'9' * 5000}", "is not a whole number"),
        ("max_attempts: 3", "max_attempts: -2", "-2 is below -1"),
        ("max_attempts: 3", "max_attempts: 0", "0 is not a number of attempts"),
        ("max_attempts: 3", 'max_attempts: "3"', "'3' is not a whole number"),
        ("max_attempts: 3", "max_attempts: 3.5", "3.5 is not a whole number"),
        ("max_attempts: 3", "max_attempts: true", "true is not a whole number"),
        ("max_attempts: 3", "max_attempts: [3]", "a list is not a whole number"),
        ("max_attempts: 3", "max_attempts: ", "the key has no value"),
        ("dispatches_per_second: 50", "dispatches_per_second: .inf", ".inf is not a finite number"),
        ("dispatches_per_second: 50", "dispatches_per_second: .nan", "is not a finite number"),
        ("dispatches_per_second: 50", "dispatches_per_second: 1e999", "1e999 is not a finite number"),
        ("dispatches_per_second: 50", "dispatches_per_second: 0", "0 is not above 0"),
        ("concurrent: 20", "concurrent: 5001", "5001 is above 5000"),
        ("min_backoff: 5s", "min_backoff: 5", "5 has no unit"),
        ("min_backoff: 5s", "min_backoff: 0s", "0s is no wait"),
        ("min_backoff: 5s", "min_backoff: -5s", "'-5s' is not a duration"),
        ("min_backoff: 5s", "min_backoff: \u0665s", "is not a duration"),
        ("max_backoff: 15s", "max_backoff: 999999999d", "longer than a year"),
        ("task_age_limit: 60s", "task_age_limit: 40d", "longer than Google keeps a task"),
        ("dispatch_deadline: 45s", "dispatch_deadline: 14s", "14s is outside 15s to 30m"),
        ("dispatch_deadline: 45s", "dispatch_deadline: 31m", "31m is outside 15s to 30m"),
        ("token_window: 60s", "token_window: 0s", "0s lets no message live"),
        ("from: [gcsplit]", "from: gcsplit", "'gcsplit' is not a list"),
        ("from: [gcsplit]", "from: []", "it is empty"),
        ("from: [gcsplit]", "from: [{a: 1}]", "a mapping is not text"),
        ("path: /hostpay_webhook", "path: hostpay_webhook", "'hostpay_webhook' does not have the right form"),
        ("message: HostPayOrder\n", "", "the key is missing"),
        ("rate: {dispatches_per_second: 50, concurrent: 20}", "rate: 50", "50 is not a mapping"),
        ("from: [gcsplit]", "name: x\nfrom: [gcsplit]", "the file names itself 'x'"),
    ],
)
def test_a_strange_value_is_refused_at_its_line(project: Project, old: str, new: str, what: str) -> None:
    text = (project.root / HOSTPAY_QUEUE).read_text()
    project.replace(HOSTPAY_QUEUE, old, new)

    found = project.only_error()

    assert what in found.what
    missing = new == ""
    assert found.where.line == (1 if missing else text[: text.index(old)].count("\n") + 1)
    assert len(str(found)) < 1000


def test_a_folder_in_place_of_a_file_is_refused(project: Project) -> None:
    (project.root / QUEUE).mkdir()

    assert "a folder, not a file" in project.only_error().what


def test_a_link_that_points_nowhere_is_refused(project: Project) -> None:
    (project.root / QUEUE).symlink_to("nowhere.yaml")

    found = project.only_error()

    assert "its link points nowhere" in found.what
    assert "delete the link" in found.fix


def test_links_in_a_circle_are_refused(project: Project) -> None:
    (project.root / QUEUE).symlink_to("strange-queue.yaml")

    assert "cannot be read" in project.only_error().what


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_refused(project: Project) -> None:
    (project.root / HOSTPAY_QUEUE).chmod(0)

    assert "Permission denied" in project.only_error().what


def test_a_queue_in_a_sub_folder_is_refused_with_its_place(project: Project) -> None:
    (project.root / "queue_configs/tasks/old").mkdir()
    (project.root / HOSTPAY_QUEUE).rename(project.root / "queue_configs/tasks/old/hostpay-execution-queue.yaml")

    assert f"move the file to {HOSTPAY_QUEUE}" in project.only_error().fix


def test_a_copy_in_a_sub_folder_is_a_duplicate(project: Project) -> None:
    text = (project.root / HOSTPAY_QUEUE).read_text()
    project.write("queue_configs/tasks/old/hostpay-execution-queue.yaml", text)

    found = project.only_error()

    assert str(found.where) == "queue_configs/tasks/old/hostpay-execution-queue.yaml:1:1"
    assert "is declared here and in" in found.what


def test_a_service_declared_twice_is_refused(project: Project) -> None:
    project.write(GCHOSTPAY.replace(".yaml", ".yml"), (project.root / GCHOSTPAY).read_text())

    assert "the service gchostpay is declared here and in" in project.only_error().what


def test_names_that_differ_only_in_case_are_duplicates(project: Project) -> None:
    text = (project.root / HOSTPAY_QUEUE).read_text()
    project.write("queue_configs/tasks/Hostpay-Execution-Queue.yaml", text)

    assert any("is declared here and in" in found.what for found in project.errors())


def test_notes_and_hidden_files_beside_the_specs_are_left_alone(project: Project) -> None:
    project.write("queue_configs/tasks/README.md", "# Queues")
    project.write("queue_configs/tasks/.swap.yaml", "{{{")

    assert project.findings() == ()


def test_a_folder_without_specs_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors, match="no service is declared"):
        load(tmp_path)


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(project: Project) -> None:
    path = project.root / HOSTPAY_QUEUE
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))

    assert project.findings() == ()
