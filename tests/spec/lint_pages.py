"""The pages of docs/lint as data: what a page says, and its examples laid over a small project.

An example is the path of a file in backquotes, alone on a line, and a fenced block. YAML of a spec is laid over the
file of the base project key by key (a null takes a key out); "(whole file)" after the path writes the block as it
stands. The base project's code has another ending, so that nobody takes it for ours.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spec import Finding, Law, laws, lint
from spec.checks.rule import FAMILIES
from spec.checks.schema_line import SCHEMAS, expected_line

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "lint"
BASE = Path(__file__).parent / "lint_base"

_EXAMPLE = re.compile(r"^`([^`\n]+)`( \(whole file\))?:?\n\n```\w*\n(.*?)^```$", re.M | re.S)
#: Folders of specs, each with what its files are.
_NOUNS = {
    "queue_configs/tasks": "queue",
    "queue_configs/topics": "topic",
    "queue_configs/secrets": "secret",
    "queue_configs/adopted": "adopted",
    "queue_configs/routes.yaml": "routes",
    "queue_configs/silences.yaml": "silences",
    "service_code": "service",
    "stacks": "stack",
    "dashboards/alerts": "alert",
    "dashboards/metrics": "metric",
    "dashboards/slos": "slo",
    "dashboards/channels": "channel",
}


@dataclass(frozen=True)
class Example:
    """One file of an example."""

    path: str
    text: str
    whole: bool


@dataclass(frozen=True)
class Page:
    """One rule's page."""

    text: str

    def examples(self, heading: str) -> list[Example]:
        """The files under a heading."""
        _, _, rest = self.text.partition(f"\n## {heading}\n")
        section = rest.partition("\n## ")[0]
        return [Example(path, text, bool(whole)) for path, whole, text in _EXAMPLE.findall(section)]


def page(law: Law) -> Page:
    return Page((ROOT / law.page).read_text("utf-8"))


def head(law: Law) -> str:
    """How a page begins."""
    silenced = "may be [silenced](README.md#silencing)" if law.silenceable else "cannot be silenced"
    return f"# {law.number}: {law.title.rstrip('.')}\n\n{law.severity} · {law.family} · {silenced}\n"


def found(examples: list[Example], root: Path) -> tuple[Finding, ...]:
    """What lint finds in the base project with these files over it."""
    lay(examples, root)
    return lint(root)


def lay(examples: list[Example], root: Path) -> None:
    """Make the base project, with these files over it."""
    shutil.copytree(BASE, root)
    for code in root.rglob("*.py.txt"):
        code.rename(code.with_suffix(""))
    for example in examples:
        _lay(example, root / example.path)


def _lay(example: Example, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noun = next((noun for folder, noun in _NOUNS.items() if example.path.startswith(folder)), None)
    if example.whole or noun is None or path.suffix != ".yaml":
        path.write_text(example.text, "utf-8")
        return
    under = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    merged = _over(under, yaml.safe_load(example.text))
    line = expected_line(noun, Path(example.path)) if noun in SCHEMAS else ""
    path.write_text(f"{line}\n{yaml.safe_dump(merged, sort_keys=False, width=1000)}", "utf-8")


def _over(under: Any, over: Any) -> Any:
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    merged = {**under, **{key: _over(under.get(key), value) for key, value in over.items()}}
    return {key: value for key, value in merged.items() if value is not None}


#: The list of docs/lint/README.md stands below this line.
RULES = "<!-- The list below is written by: .venv/bin/python -m tests.spec.lint_pages -->"


def index() -> str:
    """docs/lint/README.md: what people wrote, and the list of all rules by family."""
    above = (PAGES / "README.md").read_text("utf-8").partition(RULES)[0]
    lines = [RULES]
    for digit, family in FAMILIES.items():
        lines += ["", f"## {digit}xx: {family}", ""]
        of_family = [law for law in laws().values() if law.number[2] == digit]
        lines += [f"- [{law.number}]({law.number}.md) ({law.severity}) {law.title}" for law in of_family]
    return above + "\n".join(lines) + "\n"


def write() -> None:
    """Put every page's head and the list in order."""
    for law in laws().values():
        path = ROOT / law.page
        text = path.read_text("utf-8") if path.exists() else "\n\n\n## Bad\n\n## Good\n"
        path.write_text(head(law) + text.split("\n", 3)[3], "utf-8")
    (PAGES / "README.md").write_text(index(), "utf-8")


if __name__ == "__main__":
    write()
