"""A copy of the real specs that a test may break, so that every refusal is shown on what is deployed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from spec import Finding, Severity, lint

ROOT = Path(__file__).resolve().parents[2]

HOSTPAY_QUEUE = "queue_configs/tasks/hostpay-execution-queue.yaml"
SPLIT_QUEUE = "queue_configs/tasks/split-payment-queue.yaml"
GCHOSTPAY = "service_code/gchostpay/service.yaml"
GCWEBHOOK = "service_code/gcwebhook/service.yaml"
PROD = "stacks/Pulumi.prod.yaml"

PROD_CONFIG = f"""\
# yaml-language-server: $schema=../queue_configs/schema/stack.json
config:
  gcp:project: sluice-prod
  gcp:region: us-central1
  sluice:projectNumber: "123456789012"
  sluice:imageDigest: sha256:{"a" * 64}
"""


def line_of(file: str, start: str) -> int:
    """The number of the line of a real file that begins so: what is added above it moves it."""
    lines = (ROOT / file).read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.startswith(start))


@dataclass(frozen=True)
class Project:
    """The specs in a folder of the test's own."""

    root: Path

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{file} no longer contains {old!r}: adapt this test"
        path.write_text(text.replace(old, new, 1))

    def write(self, file: str, text: str) -> Path:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def findings(self) -> tuple[Finding, ...]:
        return lint(self.root)

    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings() if finding.severity is Severity.ERROR]

    def only_error(self) -> Finding:
        (found,) = self.errors()
        return found

    def only_warning(self) -> Finding:
        assert self.errors() == []
        (found,) = self.findings()
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    shutil.copytree(ROOT / "queue_configs", root / "queue_configs")
    for path in (ROOT / "service_code").glob("*/service.yaml"):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    copy = Project(root)
    copy.write(PROD, PROD_CONFIG)
    return copy
