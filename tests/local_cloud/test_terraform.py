"""Terraform and Google's provider cannot tell this cloud from Google's; skipped where they are missing.

The folder `terraform` has what people declare of each API here. It is applied, planned (nothing to do), changed,
planned again and destroyed, with nothing but what `sluice env` prints.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ops.verbs.env import provider_variables
from tests.local_cloud.image import tiny_image
from tests.local_engine.local_cloud import call, running

pytestmark = pytest.mark.engine

PROGRAM = Path(__file__).parent / "terraform"
PROVIDER = "terraform-provider-google-beta"
DIGEST = "sha256:" + "1" * 64
PATIENCE = 600.0
REGION = "projects/sluice-local/locations/us-central1"


def provider() -> Path:
    """The provider's binary; skips where it or the command is missing."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH: https://developer.hashicorp.com/terraform/install")
    found = shutil.which(PROVIDER)
    if found is None:
        pytest.skip(f"{PROVIDER} is not on PATH: https://github.com/hashicorp/{PROVIDER}/releases")
    return Path(found)


class Terraform:
    """A working directory with the program, pointed at a cloud."""

    def __init__(self, folder: Path, binary: Path, rest: str) -> None:
        self._folder, self._said = folder, folder / "said"
        shutil.copytree(PROGRAM, folder)
        settings = folder / "terraformrc"
        overrides = f'dev_overrides {{ "hashicorp/google-beta" = "{binary.parent}" }}'
        settings.write_text(f"provider_installation {{\n  {overrides}\n  direct {{}}\n}}\n")
        own = {"TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1"}
        self._environ = os.environ | provider_variables("sluice-local", "us-central1", rest) | own

    def run(self, *arguments: str) -> str:
        """One command; what it said. Fails the test unless it succeeds."""
        line = ["terraform", *arguments, "-no-color", "-input=false"]
        with self._said.open("w", encoding="utf-8") as said:
            done = subprocess.run(
                line, cwd=self._folder, env=self._environ, stdout=said, stderr=said, timeout=PATIENCE, check=False
            )
        text = self._said.read_text("utf-8")
        assert done.returncode == 0, f"{' '.join(line)} ended with {done.returncode}:\n{text}"
        return text

    def apply(self, tag: str) -> str:
        """Apply, and find that there is nothing more to do: a plan with changes ends with 2."""
        said = self.run("apply", "-auto-approve", "-parallelism=20", f"-var=tag={tag}")
        self.run("plan", "-detailed-exitcode", f"-var=tag={tag}")
        return said


def test_terraform_applies_changes_and_destroys_all_that_people_declare(tmp_path: Path) -> None:
    binary = provider()
    with running(tmp_path) as ports:
        terraform = Terraform(tmp_path / "terraform", binary, f"http://127.0.0.1:{ports.rest}")
        image = tiny_image(tmp_path, DIGEST)
        manifest = {"digest": DIGEST, "root": image.root, "entry": image.entry, "preload": image.preload}
        call(ports, "POST", "/_sluice/images", manifest)
        terraform.apply("a")
        assert call(ports, "GET", f"/v2/{REGION}/queues/full")[1]["state"] == "RUNNING"
        assert "0 destroyed" in terraform.apply("b"), "a change replaces nothing"
        assert call(ports, "GET", f"/v2/{REGION}/queues/full")[1]["state"] == "PAUSED"
        terraform.run("destroy", "-auto-approve", "-parallelism=20")
        for collection in (f"v2/{REGION}/queues", f"v2/{REGION}/services", f"v2/{REGION}/jobs", f"v1/{REGION}/jobs"):
            assert call(ports, "GET", f"/{collection}")[1] == {}
