"""Pulumi's own engine beside the project: its command line, the gcp provider, and a copy of the program to run.

Everything is its own: PULUMI_HOME, a backend in a folder, a passphrase, the config of the stacks; nothing is fetched.
Where the command or the provider is missing, the test is skipped and says which.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import local_engine

ROOT = Path(__file__).parents[2]
ROOMS = ("spec", "components", "queue_configs", "dashboards", "docs", "service_code", "local_cloud", ".venv")
#: A service account takes the provider 10 s, and a machine may be busy.
PATIENCE = 600.0


def command() -> str:
    """The Pulumi CLI; skips where it or what it needs is missing."""
    for name, what in (("pulumi", "Pulumi CLI"), ("pulumi-language-python", "Pulumi CLI's Python host")):
        if shutil.which(name) is None:
            pytest.skip(f"the {what} ({name}) is not on PATH: https://www.pulumi.com/docs/install/")
    if shutil.which("pulumi-resource-gcp") is None and not list(_plugins().glob("resource-gcp-*")):
        pytest.skip(f"the gcp provider is neither on PATH nor in {_plugins()}: pulumi plugin install resource gcp")
    return "pulumi"


def _plugins() -> Path:
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"


class Pulumi:
    """One project with its stacks, in a folder of its own."""

    def __init__(self, folder: Path, extra: Mapping[str, str] | None = None) -> None:
        self._command = command()
        self.project, home, self._said = folder / "project", folder / "home", folder / "said"
        self.project.mkdir(parents=True)
        home.mkdir()
        if _plugins().is_dir():
            (home / "plugins").symlink_to(_plugins())
        shutil.copy(ROOT / "Pulumi.yaml", self.project)
        shutil.copytree(ROOT / "stacks", self.project / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
        for room in ROOMS:
            (self.project / room).symlink_to(ROOT / room)
        # The provider wants some credentials; the owner's door asks for none.
        self._environ = os.environ | {
            "GOOGLE_OAUTH_ACCESS_TOKEN": "local",
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            # By default the provider asks the real Compute API whether the region exists, and config cannot say no.
            "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **(extra or {}),
        }

    def init(self, stack: str, config: Mapping[str, Any]) -> None:
        """A new stack with this config."""
        self.run("stack", "init", stack)
        path = self.project / "stacks" / f"Pulumi.{stack}.yaml"
        salted = yaml.safe_load(path.read_text("utf-8"))
        path.write_text(yaml.safe_dump(salted | {"config": dict(config)}), "utf-8")

    def pretend(self, stack: str, outputs: Mapping[str, Any]) -> None:
        """Give a stack that was never applied outputs, for those that refer to it."""
        state = json.loads(self.run("stack", "export", "--stack", stack))
        urn = f"urn:pulumi:{stack}::{local_engine.PROJECT}::pulumi:pulumi:Stack::{local_engine.PROJECT}-{stack}"
        root = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack", "outputs": dict(outputs)}
        state["deployment"]["resources"] = [root]
        path = self.project / "state.json"
        path.write_text(json.dumps(state), "utf-8")
        self.run("stack", "import", "--stack", stack, "--file", str(path))

    def up(self, stack: str, *options: str) -> str:
        """`pulumi up`."""
        return self.run("up", "--yes", "--stack", stack, *options)

    def planned(self, stack: str) -> list[dict[str, Any]]:
        """`pulumi preview`: each resource as it would be; all of them are to be made."""
        said = self.run("preview", "--json", "--stack", stack)
        steps = json.JSONDecoder().raw_decode(said, said.index("{\n"))[0]["steps"]
        assert {step["op"] for step in steps} <= {"create", "read"}
        return [step["newState"] for step in steps]

    def held(self, stack: str) -> list[dict[str, Any]]:
        """Each resource as the stack's state has it."""
        resources: list[dict[str, Any]] = json.loads(self.run("stack", "export", "--stack", stack))["deployment"][
            "resources"
        ]
        return resources

    def refresh(self, stack: str) -> str:
        """`pulumi refresh` that accepts no drift."""
        return self.run("refresh", "--yes", "--stack", stack, "--expect-no-changes")

    def destroy(self, stack: str) -> str:
        """`pulumi destroy`."""
        return self.run("destroy", "--yes", "--stack", stack, "--skip-preview")

    def run(self, *arguments: str, ok: bool = True) -> str:
        """One command; what it said. Fails the test unless it ends as expected."""
        line = [self._command, *arguments, "--non-interactive", "--color", "never"]
        # Into a file: a plugin that outlives the command for a moment would hold a pipe open.
        with self._said.open("w+", encoding="utf-8") as said:
            done = subprocess.run(
                line, cwd=self.project, env=self._environ, stdout=said, stderr=said, timeout=PATIENCE, check=False
            )
        text = self._said.read_text("utf-8")
        assert (done.returncode == 0) is ok, f"{' '.join(line)} ended with {done.returncode}:\n{text}"
        return text
