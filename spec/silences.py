"""The model of queue_configs/silences.yaml: what files break on purpose that can say nothing of themselves.

A key file, JSON or a binary holds neither a key of ours nor a comment. Specs, code and workflows speak for themselves
(docs/adr/lint-rules.md).
"""

from __future__ import annotations

from spec.model import Model, Silences, field


class SilencesFile(Model):
    """Files, each with the rules that it breaks on purpose."""

    files: dict[str, Silences] = field(
        ...,
        "By the path of a file from the project's root: rules that it breaks on purpose (docs/lint/), with the reason.",
        breaks="nobody would know which file is meant",
        fix="write files: {tests/key.pem: {SL313: why it opens nothing}}",
    )
