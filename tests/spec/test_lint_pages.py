"""Every rule has a page, and the page's examples are its test: the bad one breaks this rule alone, the good none."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec import Law, laws
from tests.spec.lint_pages import PAGES, found, head, index, page

LAWS = laws()


@pytest.fixture(params=LAWS.values(), ids=lambda law: law.number)
def law(request: pytest.FixtureRequest) -> Law:
    assert isinstance(request.param, Law)
    return request.param


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    assert {path.stem for path in PAGES.glob("SL*.md")} == set(LAWS)


def test_the_list_of_rules_is_current() -> None:
    assert (PAGES / "README.md").read_text("utf-8") == index(), "run: .venv/bin/python -m tests.spec.lint_pages"


def test_the_project_of_the_examples_breaks_nothing(tmp_path: Path) -> None:
    assert found([], tmp_path / "base") == ()


def test_a_page_says_what_its_rule_says(law: Law) -> None:
    assert page(law).text.startswith(head(law)), "run: .venv/bin/python -m tests.spec.lint_pages"


def test_the_bad_example_breaks_this_rule_alone(law: Law, tmp_path: Path) -> None:
    findings = found(page(law).examples("Bad"), tmp_path / "bad")
    assert {finding.rule for finding in findings} == {law.number}, "\n".join(map(str, findings))
    assert {finding.severity for finding in findings} == {law.severity}


def test_the_good_example_breaks_nothing(law: Law, tmp_path: Path) -> None:
    examples = page(law).examples("Good")
    assert examples
    findings = found(examples, tmp_path / "good")
    assert findings == (), "\n".join(map(str, findings))
