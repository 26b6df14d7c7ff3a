"""What the verbs of queues share: options, and the choice of tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from ops import specs
from ops.errors import BadUsage
from ops.queues.tasks import OTHER, UNTRIED, Task
from ops.verbs.clock import seconds
from spec import System
from spec.errors import choose
from spec.names import CANARY_TAG, PREVIOUS_TAG, STABLE_TAG

Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="Its name.")]
Rate = Annotated[str, typer.Option("--rate", metavar="N/s", help="So many tasks at most, such as 5/s or 30/m.")]
Code = Annotated[
    str,
    typer.Option("--code", metavar="CODE", help="Only with this last answer: 503, unavailable, or - for none so far."),
]
OlderThan = Annotated[str, typer.Option("--older-than", metavar="TIME", help="Only created longer ago, such as 10m.")]
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="SIDE", help="Only to this side: stable, canary, previous, or other: the URL is no service's."
    ),
]

#: What a task's side may be: a tag of its receiver, or none that is known.
SIDES = (STABLE_TAG, CANARY_TAG, PREVIOUS_TAG, OTHER)
#: What Cloud Tasks says of an attempt beside a status of HTTP: https://cloud.google.com/apis/design/errors#error_codes
CODES = (
    "ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
    "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented",
    "internal", "unavailable", "data_loss", "unauthenticated",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which tasks are meant."""

    code: str = ""
    older_than: str = ""
    side: str = ""

    def __post_init__(self) -> None:
        if self.side and self.side not in SIDES:
            raise BadUsage(f"--to is {self.side}", fix=choose(self.side, SIDES, noun="side"))
        if self.code and not _is_code(self.code.lower()):
            raise BadUsage(
                f"--code is {self.code[:60]}, which is no answer of an attempt",
                why="no task would ever be meant",
                fix=f"give a status of HTTP such as 503, {UNTRIED} for none so far, or one of {', '.join(CODES)}",
            )

    def of(self, tasks: Iterable[Task], now: datetime) -> Iterator[Task]:
        """Those of the tasks."""
        age = seconds(self.older_than) if self.older_than else 0.0
        for task in tasks:
            if self.code and self.code.lower() not in (task.code, task.said.partition("(")[0].lower()):
                continue
            if self.side and task.side != self.side:
                continue
            if task.age(now) >= age:
                yield task


def _is_code(code: str) -> bool:
    """Whether an attempt can be answered so: a status of HTTP, a code by name or number, or nothing yet."""
    number = int(code) if re.fullmatch(r"[0-9]{1,3}", code) else -1
    return code in (UNTRIED, *CODES) or 100 <= number <= 599 or 1 <= number < len(CODES)


def system() -> System | None:
    """The specs; nothing in the middle of an edit: what is there can be looked at all the same."""
    try:
        return specs.load()
    except specs.SpecsRefused:
        return None
