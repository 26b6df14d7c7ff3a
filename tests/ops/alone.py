"""A local cloud as `sluice cloud start` runs it, for tests of the command line: its process, and commands beside it.

Records and fresh states lie in a temporary folder of the test's own, so that tests do not find each other's clouds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

#: Nothing that a developer's shell or an earlier test says of clouds.
FOREIGN = ("SLUICE_", "GOOGLE_", "CLOUDSDK_", "GCE_", "CLOUD_TASKS_", "PULUMI_")


def environment(folder: Path) -> dict[str, str]:
    """A clean environment, whose temporary folder is `folder`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**clean, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def sluice(folder: Path, *words: str, check: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", *words],
        env={**environment(folder), **more},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert check is None or done.returncode == check, done.stderr
    return done


@dataclass
class Alone:
    """A running cloud."""

    folder: Path
    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def port(self) -> int:
        return int(self.ready["rest"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sluice(self, *words: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """A command beside it."""
        return sluice(self.folder, *words, check=check)

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Asks it to end as a terminal or a script does."""
        self.process.send_signal(how)
        return self.process.wait(90)


@contextmanager
def started(folder: Path, *words: str) -> Iterator[Alone]:
    """A cloud in the foreground of a process that is ours, with its ready line as JSON."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "cloud", "start", "--json", "--port", "0", *words],
        env=environment(folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith('{"ready"'), line + process.stderr.read()
        yield Alone(folder, process, json.loads(line))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
