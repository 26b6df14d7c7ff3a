"""A command of the runbook, run as it stands there: what an operator would fill in is filled in, and `y` is answered.

A scenario is a test of one or more sections; it is marked by `incident` with their headings, and runs their commands by
`do`. Ours run in this process, by the same function as `./sluice`; what needs a shell gets one. What is written for
prod runs against the local stack: `--stack prod` is `--stack local`, and so on.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, TypeVar
from unittest import mock

import pytest

from ops import app
from ops.rollout import session
from ops.rollout.walk import Walker
from tests.dose import WHOLE
from tests.local_cloud.gcloud import Gcloud
from tests.payments.stack import ROOT, Stack
from tests.runbook.page import sections

Scenario = TypeVar("Scenario", bound=Callable[..., Any])

#: What an operator fills in; nothing of this may be left in what is run.
PLACEHOLDER = re.compile(r"\b(?:ID|QUEUE|OLD|NEW|OTHER|SERVICE|EVENT|FILE|TEXT|NAME|ROUTE|TARGET|REGION|PROJECT|JOB|REV"
                         r"|letter-N|message-N|0x\.\.\.|=\.\.\.)")  # fmt: skip
#: What sets a shell's variables, and does nothing else.
SETS = re.compile(r"[A-Z]+=|eval ")
#: What needs a shell to be read.
SHELL = re.compile(r"&&|\$|^(?!\./sluice )")


#: What `make proofs` alone runs.
whole = pytest.mark.skipif(not WHOLE, reason="a long proof: SLUICE_WHOLE=1, or make proofs")


def incident(*headings: str) -> Callable[[Scenario], Scenario]:
    """Mark a test as the scenario of these sections."""

    def marked(scenario: Scenario) -> Scenario:
        scenario.headings = headings  # type: ignore[attr-defined]
        return scenario

    return marked


@contextmanager
def left(stack: Stack) -> Iterator[None]:
    """A walk in the block gets Ctrl-C as soon as it would wait: its rollout stands, and nobody looks at it."""
    sound = session.walker

    def pressed() -> None:
        raise KeyboardInterrupt

    def walker(*words: Any, **more: Any) -> Walker:
        made = sound(*words, **more)
        made.pause, made.sleep = pressed, stack.advance
        return made

    with mock.patch.object(session, "walker", walker):
        yield


#: How a command ends that was left so.
LEFT = 130


@dataclass
class Do:
    """Runs commands of some sections on a stack; `said` is all that the last one printed."""

    stack: Stack
    headings: tuple[str, ...]
    said: str = ""
    #: Lines of a shell that set something for those after them: they run with those.
    set: str = ""
    #: What a shell's environment has besides.
    environment: dict[str, str] = field(default_factory=dict)
    #: Runs what begins with gcloud; a shell does where there is none.
    gcloud: Gcloud | None = None

    def __call__(self, command: str, values: Mapping[str, str] | None = None, *, code: int = 0) -> str:
        """Run a command that stands in the runbook, with these values for its placeholders; what it prints."""
        assert any(command in sections()[heading].commands for heading in self.headings), f"no section says {command}"
        line = command.replace("--stack prod", "--stack local").replace("--confirm prod", "--confirm local")
        for placeholder, value in (values or {}).items():
            assert placeholder in line, f"{command} has no {placeholder}"
            line = line.replace(placeholder, value)
        assert not PLACEHOLDER.search(line), f"nothing was said for a placeholder: {line}"
        if SETS.match(line):
            self.set += f"{line}\n"
            return ""
        if self.gcloud is not None and line.startswith("gcloud "):
            done = self.gcloud.run(*shlex.split(line)[1:])
            self.said, ended = done.out + done.err, done.code
        else:
            ended = self._shell(line) if SHELL.search(line) else self._here(line)
        assert ended == code, f"{line} ended with {ended}\n{self.said}"
        return self.said

    def _here(self, line: str) -> int:
        out = StringIO()
        answers = mock.patch.object(sys, "stdin", StringIO("y\n" * 3))
        with answers, redirect_stdout(out), redirect_stderr(out):
            code = app.main(shlex.split(line)[1:])
        self.said = out.getvalue()
        return code

    def _shell(self, line: str) -> int:
        done = subprocess.run(
            ["bash", "-ec", f"{self.set}{line}"],
            cwd=ROOT,
            env={**os.environ, **self.environment, "SLUICE_HOME": str(self.stack.home)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        self.said = done.stdout + done.stderr
        return done.returncode
