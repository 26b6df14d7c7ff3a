"""What the cloud says about itself: JSON lines on stderr, the last ones kept, and sinks for who wants them all.

Decisions about permissions are events like others; the Logging API may subscribe to store them as audit logs.
"""

import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import orjson

if TYPE_CHECKING:
    from local_cloud.iam.engine import Decision

#: How many events stay in memory.
KEPT = 5_000
#: Decisions in memory: the trail has them all, and thousands would keep the memory around them from coming free.
KEPT_DECISIONS = 100

Event = dict[str, Any]


class Log:
    """Events of the cloud. `sinks` get every event, `decisions` every answer of IAM."""

    def __init__(self, now: Callable[[], float], stream: TextIO | None = None) -> None:
        self._now = now
        self._stream = stream
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.decisions: deque[Decision] = deque(maxlen=KEPT_DECISIONS)
        self.sinks: list[Callable[[Event], None]] = []
        self.decision_sinks: list[Callable[[Decision], None]] = []

    def event(self, severity: str, text: str, **fields: Any) -> None:
        """One line: severity as Cloud Logging names them."""
        event: Event = {"time": self._now(), "severity": severity, "message": text, **fields}
        self.events.append(event)
        for sink in self.sinks:
            sink(event)
        if severity != "DEBUG":
            stream = self._stream or sys.stderr
            stream.write(orjson.dumps(event, default=str).decode() + "\n")
            stream.flush()

    def decision(self, decision: "Decision") -> None:
        """Records an answer of IAM; a refusal is also an event, with the binding that would fix it."""
        self.decisions.append(decision)
        for sink in self.decision_sinks:
            sink(decision)
        if not decision.granted:
            fix = decision.fix
            self.event(
                "WARNING",
                decision.text,
                principal=decision.principal.member or "allUsers",
                permission=decision.permission,
                resource=decision.resource,
                enforced=decision.enforced,
                **({"fix": fix.as_dict()} if fix else {}),
            )
