"""The real gcloud, unmodified, against a local cloud: a session that runs many commands in one process of gcloud's.

Owns where gcloud is and the process; the variables are those that `sluice env` prints.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.verbs.env import gcloud_variables
from tests.local_cloud.cloud_places import LOCATION, PROJECT

SESSION = Path(__file__).with_name("gcloud_session.py")
#: Seconds after which a command is taken for hung and its process is ended.
PATIENCE = 60


def root() -> Path | None:
    """gcloud's folder, or None where it is not installed."""
    found = shutil.which("gcloud")
    folder = Path(found).resolve().parents[1] if found else None
    return folder if folder is not None and (folder / "lib" / "googlecloudsdk").is_dir() else None


needed = [
    pytest.mark.gcloud,
    pytest.mark.skipif(root() is None, reason="the gcloud command is not installed"),
]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Gcloud:
    """One session."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *words: str) -> Done:
        """A command as it ended, well or not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        assert line, f"gcloud {' '.join(words)} ended its process"
        return Done(**json.loads(line))

    def ok(self, *words: str) -> Done:
        """A command that must end well."""
        done = self.run(*words)
        assert done.code == 0, f"gcloud {' '.join(words)}\n{done.err}"
        return done

    def json(self, *words: str) -> Any:
        """What a command prints, as JSON."""
        return json.loads(self.ok(*words, "--format=json").out or "null")

    def refused(self, *words: str) -> str:
        """What a command says that must not end well."""
        done = self.run(*words)
        assert done.code != 0, done.out
        return done.err


def variables(rest: str, config: Path) -> Mapping[str, str]:
    """The environment of a person who has evaluated `sluice env`, without one of his own for gcloud."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDSDK_")}
    return kept | gcloud_variables(PROJECT, LOCATION, rest) | {"CLOUDSDK_CONFIG": str(config)}


@contextmanager
def session(rest: str, config: Path) -> Iterator[Gcloud]:
    """A gcloud at a REST door."""
    folder = root()
    assert folder is not None
    bundled = folder / "platform" / "bundledpythonunix" / "bin" / "python3"
    python = str(bundled) if bundled.exists() else shutil.which("python3") or "python3"
    quiet = {"CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1", "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1"}
    process = subprocess.Popen(
        [python, "-S", str(SESSION), str(folder / "lib")],
        env={**variables(rest, config), **quiet},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Gcloud(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
