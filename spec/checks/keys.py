"""No key of a service account: neither as a file in the tree nor as a setting that names one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Where
from spec.secret_forms import KEY_VARIABLE, WHOLE_KEY

#: Endings of files that hold nothing but a key.
KEY_FILES = (".p12", ".pfx", ".jks", ".keystore")

#: What a key file of Google's says; the key itself may follow in any order.
_GOOGLE_KEY = re.compile(r'"type"\s*:\s*"(?:service_account|authorized_user)"')
_PRIVATE = re.compile(r'"(?:private_key|refresh_token)"\s*:\s*"')

#: Where pipelines say how they log in: the word that asks for a key.
_LOGS_IN_BY_KEY = re.compile(rf"\bcredentials_json\s*:|activate-service-account\b.*--key-file|\b{KEY_VARIABLE}\b")
PIPELINES = Path(".github")
BUILDS = ("Dockerfile", ".sh")

_BREAKS = "it opens the project to whoever reads it, for years, from anywhere"


@rule("SL313", silenceable=True, lint_only=True)
def no_key_lies_in_the_tree(draft: Draft) -> Iterator[Finding]:
    """No file of the tree is the key of an account."""
    for file in draft.tree.files:
        if file.name.endswith(KEY_FILES):
            yield _key_file(file, 1, "is a file of keys")
        elif file.name.endswith((".json", ".pem", ".key")) or file.suffix == "":
            text = draft.tree.text(file) if file.suffix or file.name.startswith("id_") else ""
            found = (_GOOGLE_KEY.search(text) and _PRIVATE.search(text)) or WHOLE_KEY.search(text)
            if found:
                yield _key_file(file, text.count("\n", 0, found.start()) + 1, "holds a private key")


@rule("SL314", silenceable=True, lint_only=True)
def nobody_logs_in_by_key(draft: Draft) -> Iterator[Finding]:
    """Neither a service nor a pipeline logs in by a key file."""
    for service in draft.system.services.values():
        if KEY_VARIABLE in service.config:
            yield draft.error("service", service.name, "config", KEY_VARIABLE, **_by_key())
    for stack in draft.stacks.values():
        if KEY_VARIABLE in stack.settings:
            yield draft.error("stack", stack.name, "config", "sluice:settings", KEY_VARIABLE, **_by_key())
    for file in draft.tree.files:
        if file.parts[0] == PIPELINES.name or file.name.endswith(BUILDS):
            for number, line in enumerate(draft.tree.text(file).splitlines(), start=1):
                if found := _LOGS_IN_BY_KEY.search(line):
                    where, said = Where(file, number, found.start() + 1), _by_key()
                    yield Finding(where=where, key="", what=said["what"], breaks=said["breaks"], fix=said["fix"])


def _key_file(file: Path, line: int, what: str) -> Finding:
    return Finding(
        where=Where(file, line),
        key="",
        what=f"{file.name} {what}",
        breaks=_BREAKS,
        fix="delete the key at its account (gcloud iam service-accounts keys delete), then the file and its history",
    )


def _by_key() -> dict[str, str]:
    return {
        "what": "a key file would log in here",
        "breaks": _BREAKS,
        "fix": "let the revision run as its account, and pipelines use workload identity (sluice:ci): no key exists",
    }


RULES: tuple[Rule, ...] = (no_key_lies_in_the_tree, nobody_logs_in_by_key)
