"""The explicit word: what may be lost is named thing by thing, in the layer in which it stands."""

from __future__ import annotations

import pytest

from spec import load
from tests.spec.conftest import PROD, PROD_CONFIG, Project

FOUNDATION = "stacks/Pulumi.foundation-prod.yaml"


def give(project: Project, *words: str, stack: str = PROD, more: str = "") -> None:
    kept = PROD_CONFIG if stack == PROD else PROD_CONFIG[: PROD_CONFIG.index("  sluice:imageDigest")]
    project.write(stack, f"{kept}{more}  sluice:unprotect: [{', '.join(words)}]\n")


def test_a_word_unprotects_one_thing_and_no_other(project: Project) -> None:
    give(project, "tasks/gcsplit2-queue")
    stack = load(project.root, "prod").stack
    assert stack is not None
    assert not stack.guards("tasks/gcsplit2-queue")
    assert stack.guards("tasks/hostpay-execution-queue")
    assert project.findings() == ()


@pytest.mark.parametrize("word", ["queues/gcsplit2-queue", "task/gcsplit2-queue", "tasks", "tasks/", "database/main"])
def test_what_names_nothing_that_is_guarded_is_refused(project: Project, word: str) -> None:
    give(project, word)
    found = project.only_error()
    assert "names nothing that is guarded" in found.what
    assert (found.where.line, found.key) == (7, "config.sluice:unprotect[0]")


def test_a_slip_in_the_kind_is_told_the_nearest_one(project: Project) -> None:
    give(project, "task/gcsplit2-queue")
    assert project.only_error().fix == "did you mean tasks/gcsplit2-queue?"


@pytest.mark.parametrize(
    ("word", "stack", "belongs"),
    [
        ("secrets/CHANGENOW_API_KEY", PROD, "stacks/Pulumi.foundation-prod.yaml"),
        ("database", PROD, "stacks/Pulumi.foundation-prod.yaml"),
        ("tasks/gcsplit2-queue", FOUNDATION, "stacks/Pulumi.prod.yaml"),
    ],
)
def test_a_word_in_the_other_layer_is_refused(project: Project, word: str, stack: str, belongs: str) -> None:
    give(project, word, stack=stack)
    (found,) = [error for error in project.errors() if "does not stand in" in error.what]
    assert belongs in found.fix


def test_a_word_for_what_is_gone_is_a_warning_to_delete_it(project: Project) -> None:
    give(project, "tasks/gcsplit3-queue")
    found = project.only_warning()
    assert "there is no queue 'gcsplit3-queue' (any more)" in found.what
    assert "delete the word once an apply has taken the queue away" in found.fix
    assert "did you mean tasks/gcsplit2-queue?" in found.fix
    load(project.root, "prod")  # the apply that takes it away goes through


def test_a_word_where_nothing_is_guarded_is_a_warning(project: Project) -> None:
    give(project, "tasks/gcsplit2-queue", more="  sluice:protect: false\n")
    assert "sluice:protect is false" in project.only_warning().what
