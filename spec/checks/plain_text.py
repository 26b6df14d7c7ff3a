"""No secret in plain text in what people commit: specs, stack config, dashboards, workflows, builds."""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.environment import nothing_secret_is_plain, variables_are_free
from spec.checks.rule import rule
from spec.errors import Finding, Where
from spec.secrets_in_text import spots

#: Folders whose every file is looked at, endings that are looked at anywhere, and files at the top.
FOLDERS = frozenset({"queue_configs", "dashboards", "stacks", ".github"})
ENDINGS = ("service.yaml", "Dockerfile", ".env", ".tfvars", ".properties")


@rule("SL805", silenceable=True, lint_only=True)
def no_secret_is_written_down(draft: Draft) -> Iterator[Finding]:
    """No file that is committed holds what looks like a secret."""
    told = {(found.where.file, found.where.line) for found in _told(draft)}
    for file in draft.tree.files:
        if not (file.parts[0] in FOLDERS or file.name.endswith(ENDINGS)) or file.name.endswith("schema.json"):
            continue
        for spot in spots(draft.tree.text(file)):
            if (file, spot.line) not in told:
                yield Finding(
                    where=Where(file, spot.line, spot.column),
                    key="",
                    what=f"this looks like {spot.what}",
                    breaks="whoever may read the repository has it, and history keeps it for ever",
                    fix="declare it in queue_configs/secrets/ or as the pipeline's secret; if it is real, rotate it",
                )


def _told(draft: Draft) -> Iterator[Finding]:
    """What is said of these lines already."""
    yield from draft.findings
    yield from nothing_secret_is_plain(draft)
    yield from variables_are_free(draft)


RULES: tuple[Rule, ...] = (no_secret_is_written_down,)
