"""Prose is tested: what README and docs/ name exists, what exists is named, and a decision fits on a page."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from ops import app
from tests.fidelity import render

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: Lines of an ADR: a page.
PAGE = 70

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def usage() -> dict[str, set[str]]:
    """The options of every command, a command of a group by both its words; a group itself has none."""
    root = typer.main.get_command(app.build())
    assert isinstance(root, TyperGroup)
    found: dict[str, set[str]] = {}
    for verb, command in root.commands.items():
        of_group = command.commands if isinstance(command, TyperGroup) else {}
        found[verb] = set() if of_group else options(command)
        found |= {f"{verb} {name}": options(one) for name, one in of_group.items()}
    return found


def options(command: Any) -> set[str]:
    return {"--help"} | {word for parameter in command.params for word in parameter.opts}


def unknown(line: str) -> list[str]:
    """What of a command line, from its verb on, there is not."""
    words = line.split()
    group = any(known.startswith(f"{words[0]} ") for known in usage())
    command = " ".join(words[: 2 if group else 1])
    if command not in usage():
        return [command]
    if command == "cloud start":  # all its options are the local cloud's own
        return []
    return [f"{command} {word}" for word in words if re.match("--[a-z]", word) and word not in usage()[command]]


@pytest.mark.parametrize("page", DOCS, ids=names)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert broken == []


@pytest.mark.parametrize("page", DOCS, ids=names)
def test_commands_exist(page: Path) -> None:
    lines = re.findall(r"\./sluice ([a-z][^`#|&;()\"'\n]*)", page.read_text())
    assert [found for line in lines for found in unknown(line)] == []


@pytest.mark.parametrize("line", ["ded list", "dead lists", "dead replay ID --al", "pay --cont 5", "up --erase"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert unknown(line) != []


def test_the_readme_names_every_file_it_should_and_its_drawing_is_current(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((ROOT / "README.md").read_text())
    subprocess.run([sys.executable, "-m", "ops", "diagram", "--write", str(copy)], cwd=ROOT, check=True)
    assert copy.read_text() == (ROOT / "README.md").read_text(), "run: ./sluice diagram --write README.md"


def test_the_pages_of_fidelity_say_what_the_tests_pin() -> None:
    stale = [names(path) for path, text in render.pages().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run: .venv/bin/python -m tests.fidelity"


def test_the_map_has_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"stacks", "queue_configs"}
    assert {room for room in rooms if f"| `{room}/` |" not in text} == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("*-*.md")), ids=names)
def test_a_decision_fits_on_a_page_and_says_its_status(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert len(lines) <= PAGE
    assert lines[0].startswith("# ")
    assert any(line.lower().startswith("status:") for line in lines[:6])


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    assert [
        names(page)
        for page in (ROOT / "docs/adr").glob("*.md")
        if page.name != "README.md" and f"({page.name})" not in index
    ] == []


def test_the_runbook_names_only_codes_that_the_services_have() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "service_code").rglob("*.py"))
    page = (ROOT / "docs/runbook.md").read_text()
    codes = set(re.findall(r"`([A-Z_]{6,})`", page))
    families = set(re.findall(r"`([A-Z_]{6,})\.\.\.`", page))
    assert codes
    assert families
    missing = {code for code in codes if not re.search(rf"[\"']{code}[\"']", sources)}
    missing |= {family for family in families if not re.search(rf"[\"']{family}", sources)}
    assert missing == set()


def test_traps_are_dated_lines() -> None:
    lines = [line for line in (ROOT / "docs/traps.md").read_text().splitlines() if line.startswith("- ")]
    assert lines
    assert [line for line in lines if not re.match(r"- 20\d\d-\d\d-\d\d \S", line)] == []


def test_nothing_names_a_registry_or_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    needles = re.compile(r"registry\.npmjs\.org|pypi\.org/simple|files\.pythonhosted|/(?:root|home/\w+|farm)/\w")
    found = [
        f"{path}: {match[0]}"
        for path in tracked
        if (ROOT / path).is_file() and not path.endswith((".gz", ".png")) and path != "tests/test_docs.py"
        for match in [needles.search((ROOT / path).read_text(errors="replace"))]
        if match
    ]
    assert found == []


def test_fidelity_names_only_tests_that_exist() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    modules = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    missing = {
        f"{page.name}: {name}"
        for page in (ROOT / "docs/fidelity").glob("*.md")
        for name in re.findall(r"\btest_\w+", page.read_text())
        if name not in modules and f"def {name}(" not in sources
    }
    assert missing == set()


def test_fidelity_lists_its_pages() -> None:
    index = (ROOT / "docs/fidelity.md").read_text()
    pages = {path.name for path in (ROOT / "docs/fidelity").glob("*.md")}
    assert {page for page in pages if f"(fidelity/{page})" not in index} == set()
