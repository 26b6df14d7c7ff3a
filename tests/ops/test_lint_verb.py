"""`sluice lint` says what it finds to people, programs and code hosts, and exits by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import spec
from ops.app import main
from ops.home import ROOT
from ops.sarif import sarif
from spec import Finding, Report, Severity, Silenced, Where

FOUND = Finding(
    where=Where(Path("queue_configs/tasks/order-queue.yaml"), 3, 7),
    key="rate.concurrent",
    what="5001 is above 5000",
    breaks="Google refuses the queue",
    fix="write less",
    rule="SL502",
)
WARNED = Finding(
    where=Where(Path("stacks/Pulumi.prod.yaml"), 2, 3), key="", what="late", breaks="b", fix="f", rule="SL205",
    severity=Severity.WARNING,
)  # fmt: skip
KEPT = Silenced(WARNED, "the attempts alone may end it")

#: What a code host needs of SARIF 2.1.0: the parts of its schema that these logs have.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
RULE = {
    "type": "object",
    "required": ["id", "shortDescription", "helpUri", "defaultConfiguration"],
    "properties": {
        "id": {"type": "string", "pattern": r"^SL\d{3}$"},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": TEXT,
        "helpUri": {"type": "string"},
        "defaultConfiguration": {"type": "object", "properties": {"level": LEVEL}},
        "properties": {"type": "object"},
    },
    "additionalProperties": False,
}
REGION = {
    "type": "object",
    "required": ["startLine"],
    "properties": {"startLine": {"type": "integer", "minimum": 1}, "startColumn": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
RESULT = {
    "type": "object",
    "required": ["message", "ruleId", "ruleIndex", "level", "locations", "suppressions"],
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": TEXT,
        "locations": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "physicalLocation": {
                        "type": "object",
                        "required": ["artifactLocation", "region"],
                        "properties": {
                            "artifactLocation": {
                                "type": "object",
                                "required": ["uri"],
                                "properties": {"uri": {"type": "string"}, "uriBaseId": {"type": "string"}},
                                "additionalProperties": False,
                            },
                            "region": REGION,
                        },
                        "additionalProperties": False,
                    }
                },
            },
        },
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "suppressions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"enum": ["inSource", "external"]}, "justification": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
LOG = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {"name": {"type": "string"}, "rules": {"type": "array", "items": RULE}},
                                "additionalProperties": False,
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {"type": "object"},
                    "results": {"type": "array", "items": RESULT},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """What lint finds, as far as the verb knows."""
    found = Report(findings=[FOUND], silenced=[KEPT])
    monkeypatch.setattr(spec, "report", lambda _root: found)
    return found


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["lint", *words]) == code
    return capsys.readouterr().out


def test_our_own_specs_pass_even_strictly(capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(told(capsys, "--strict", "--json"))
    assert (value["errors"], value["warnings"], value["findings"]) == (0, 0, [])
    assert {one["rule"] for one in value["silenced"]} == {"SL305", "SL601"}


@pytest.mark.usefixtures("report")
def test_an_error_exits_1_with_place_rule_reason_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, code=1).splitlines()
    assert lines[0] == ("queue_configs/tasks/order-queue.yaml:3:7: error: rate.concurrent: 5001 is above 5000 [SL502]")
    assert [line.strip() for line in lines[1:3]] == ["why: Google refuses the queue", "fix: write less"]
    assert lines[-2:] == ["1 error, 0 warnings, 1 silenced", "more: ./sluice lint --explain SL502"]


def test_a_warning_exits_1_only_where_it_is_strict(capsys: pytest.CaptureFixture[str], report: Report) -> None:
    report.findings = [WARNED]
    assert "0 errors, 1 warning" in told(capsys)
    assert "0 errors, 1 warning" in told(capsys, "--strict", code=1)


def test_files_of_other_environments_are_left_out(capsys: pytest.CaptureFixture[str], report: Report) -> None:
    report.findings, report.silenced = [WARNED], []
    assert "0 warnings" in told(capsys, "--stack", "dev")
    assert "1 warning" in told(capsys, "--stack", "foundation-prod")
    assert told(capsys, "--stack", "prdo", code=2) == ""


@pytest.mark.usefixtures("report")
def test_what_is_silenced_is_shown_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert "SL205 is silenced: the attempts alone may end it" in told(capsys, "--silenced", code=1)


def test_a_rule_is_explained_by_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--explain", "sl602").strip() == (ROOT / "docs/lint/SL602.md").read_text().strip()
    assert told(capsys, "--explain", "SL999", code=2) == ""


@pytest.mark.usefixtures("report")
@pytest.mark.parametrize("place", ["nosuch/log.sarif", "."])
def test_sarif_that_cannot_be_written_is_refused_in_a_line(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", "--sarif", str(tmp_path / place)]) == 2
    assert "name a file that can be written" in capsys.readouterr().err


def test_sarif_holds_findings_and_suppressed_ones_as_its_schema_wants(tmp_path: Path, report: Report) -> None:
    assert main(["lint", "--sarif", str(tmp_path / "log.sarif")]) == 1
    log = json.loads((tmp_path / "log.sarif").read_text())
    jsonschema.validate(log, LOG)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == list(spec.laws())
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert [result["suppressions"] for result in run["results"]] == [
        [],
        [{"kind": "inSource", "justification": "the attempts alone may end it"}],
    ]
    assert all((ROOT / rule["helpUri"]).is_file() for rule in run["tool"]["driver"]["rules"])


def test_a_finding_that_moves_keeps_its_fingerprint() -> None:
    def printed(line: int) -> Any:
        moved = Finding(**{**_fields(FOUND), "where": Where(FOUND.where.file, line, 7)})
        return sarif(Report(findings=[moved]), spec.laws())["runs"][0]["results"][0]["partialFingerprints"]

    assert printed(3) == printed(30)


def _fields(found: Finding) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


@pytest.mark.usefixtures("report")
def test_sarif_on_standard_output_is_alone_there(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.validate(json.loads(told(capsys, "--sarif", "-", code=1)), LOG)
