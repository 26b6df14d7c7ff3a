"""The exception tree of the engine; a docstring is the message, a problem carries where it stands and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong: what it is, where it stands, and what to do about it."""

    what: str
    where: str
    fix: str
    urn: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    fix: {self.fix}"

    def as_json(self) -> dict[str, str]:
        """The form that ``--json`` prints."""
        return {"urn": self.urn, "what": self.what, "where": self.where, "fix": self.fix}


class EngineError(Exception):
    """Whatever the engine refuses or cannot do."""


class RefusedError(EngineError):
    """Refused before any call was made."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StateBusyError(EngineError):
    """Another run holds the lock of this stack's state."""


class StateDamagedError(EngineError):
    """The saved state cannot be read."""


class ForeignOwnerError(EngineError):
    """The local cloud or the state belongs to another engine."""


class CloudError(EngineError):
    """A call of the cloud's REST surface failed."""

    def __init__(self, status: int, reason: str, message: str, call: str) -> None:
        self.status, self.reason, self.message, self.call = status, reason, message, call
        super().__init__(f"{call} answered {status} {reason}: {message}")


class NotFoundError(CloudError):
    """The thing that was asked for does not exist."""


class AlreadyExistsError(CloudError):
    """A thing of that name exists."""


class ContendedError(CloudError):
    """Somebody else changed it between our read and our write."""


class UnreachableError(CloudError):
    """Nobody listens at the endpoint, or the connection broke."""

    def __init__(self, message: str, call: str, *, sent: bool) -> None:
        super().__init__(0, "UNREACHABLE", message, call)
        #: The request may have arrived.
        self.sent = sent


class OperationFailedError(CloudError):
    """A long-running operation ended with an error."""
