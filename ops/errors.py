"""The exceptions of the command line. Each is shown as three lines: what is wrong, why it matters, how to fix it."""

from __future__ import annotations

from typing import Any


class OpsError(Exception):
    """The command could not do what it was asked to do.

    `fix` is the command or the key that mends it; `code` is the exit status of the process.
    """

    code = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the error as --json shows it."""
        return {"what": self.what, "why": self.why, "fix": self.fix}


class NotRunning(OpsError):
    """The local stack is not running."""

    def __init__(self, home: str) -> None:
        super().__init__(
            f"no local stack is running in {home}",
            why="this command talks to its local cloud over HTTP",
            fix="./sluice up   (or set SLUICE_HOME to the folder of the stack you mean)",
        )


class CallFailed(OpsError):
    """A REST call to the local cloud, a service or the sandbox was answered with an error."""

    def __init__(self, what: str, *, status: int, body: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status
        self.body = body


class Unreachable(OpsError):
    """Nobody answered a call, or its connection broke: whether it was done is not known."""


class BadUsage(OpsError):
    """An argument does not fit."""

    code = 2
