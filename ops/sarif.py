"""Lint's report as SARIF 2.1.0, which code hosts show in the lines of a pull request.

Owns the translation; holds no rule. A silenced finding is a result too, suppressed in source with the reason.
Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from spec import Finding, Law, Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
VERSION = "2.1.0"

#: What files and pages are relative to.
ROOT_ID = "SRCROOT"


def sarif(report: Report, laws: Mapping[str, Law]) -> dict[str, Any]:
    """Return the log of one run."""
    index = {number: place for place, number in enumerate(laws)}
    told = [(finding, None) for finding in report.findings]
    kept = [(one.finding, one.reason) for one in report.silenced]
    both = sorted([*told, *kept], key=lambda pair: pair[0].where)
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "sluice lint",
                        "rules": [_rule(law) for law in laws.values()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {ROOT_ID: {"description": {"text": "The root of the project."}}},
                "results": [_result(finding, reason, index) for finding, reason in both],
            }
        ],
    }


def _rule(law: Law) -> dict[str, Any]:
    return {
        "id": law.number,
        "shortDescription": {"text": law.title},
        "fullDescription": {"text": f"{law.title} ({law.page})"},
        "help": {"text": f"./sluice lint --explain {law.number}, or {law.page}"},
        "helpUri": law.page,
        "defaultConfiguration": {"level": str(law.severity)},
        "properties": {"tags": [law.family], "silenceable": law.silenceable},
    }


def _result(finding: Finding, reason: str | None, index: Mapping[str, int]) -> dict[str, Any]:
    where = finding.where
    region = {"startLine": where.line, "startColumn": where.column}
    file = {"uri": where.file.as_posix(), "uriBaseId": ROOT_ID}
    # The same finding some lines further down is the same alert: no line is in it.
    print_of = hashlib.sha256("\n".join((finding.rule, file["uri"], finding.key, finding.what)).encode()).hexdigest()
    suppressed = [{"kind": "inSource", "justification": reason}] if reason is not None else []
    return {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": str(finding.severity),
        "message": {"text": f"{finding.said}\nwhy: {finding.breaks}\nfix: {finding.fix}"},
        "locations": [{"physicalLocation": {"artifactLocation": file, "region": region}}],
        "partialFingerprints": {"sluice/v1": print_of},
        "suppressions": suppressed,
    }
