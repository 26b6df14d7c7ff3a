"""Every YAML names its schema on its first line, so that editors check it while it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity

SCHEMA_FOLDER = Path("queue_configs/schema")

#: The schema of each kind of file.
SCHEMAS = {
    "queue": "task_queue.json",
    "topic": "topic.json",
    "routes": "routes.json",
    "service": "service.json",
    "secret": "secret.json",
    "stack": "stack.json",
    "alert": "alert.json",
    "metric": "log_metric.json",
    "slo": "slo.json",
    "channel": "channel.json",
    "adopted": "adopted.json",
    "silences": "silences.json",
}


def expected_line(noun: str, file: Path) -> str:
    """Return the first line of a file, both given by their path from the project's root."""
    path = os.path.relpath(SCHEMA_FOLDER / SCHEMAS[noun], file.parent)
    return f"# yaml-language-server: $schema={Path(path).as_posix()}"


@rule("SL106", Severity.WARNING)
def schemas_are_named(draft: Draft) -> Iterator[Finding]:
    """The first line of a file is the comment that editors look for."""
    for (noun, name), source in draft.sources.items():
        expected = expected_line(noun, source.file)
        if source.first_line not in (None, expected):
            yield draft.warning(
                noun,
                name,
                what="the first line does not name the schema",
                breaks="editors would neither complete nor check the keys",
                fix=f"write as first line: {expected}",
            )


RULES: tuple[Rule, ...] = (schemas_are_named,)
