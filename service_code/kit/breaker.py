"""Circuit breakers: while a receiver is down, nothing is minted for it nor sent to it (seeds/000, strategy 5).

A breaker asks the receiver's /health as the sender's own account. Closed, it asks at most once a `check_interval`; one
request asks, all others go by the last answer. `failure_threshold` bad answers in a row open it; open, it lets one
question through every `open_for` (half-open), and a good answer closes it. An instance has its own breakers: each
learns for itself. Calls that fail are no bad answers: 500 is how a payment says that it has to wait. A question that
cannot be asked (no permission, no token) says nothing of the receiver, so it lets messages through, also where the
breaker was open: it saves attempts and tokens, and must not stop payments by a fault of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal

from service_code.kit import logs
from service_code.kit.access import Access, once_more
from service_code.kit.clock import Clock
from service_code.kit.outside import Answer, Outside, UnreachableError
from service_code.kit.settings import QueueEdge
from service_code.kit.token_policy import BreakerRule

#: Seconds for one question: a request may be waiting for it.
TIMEOUT = 2.0
#: Answers below 500 of a receiver that takes nothing: it does not exist, or has no instance for us.
AWAY = (404, 429)

#: What a question tells.
Health = Literal["well", "ill", "blind"]

_log = logs.get("breaker")


class Breaker:
    """The breaker of one queue."""

    def __init__(self, edge: QueueEdge, rule: BreakerRule, outside: Outside, access: Access, clock: Clock) -> None:
        self._edge = edge
        self._rule = rule
        self._outside = outside
        self._access = access
        self._clock = clock
        self._failures = 0
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self.is_open = False

    async def lets_through(self) -> bool:
        """Tell whether messages may be sent now; asks where the last answer is too old."""
        if self._due() and not self._asking.locked():
            async with self._asking:
                await self._ask()
        return not self.is_open

    def _due(self) -> bool:
        passed = self._clock.seconds() - self._asked_at
        return not 0 <= passed < (self._rule.open_for if self.is_open else self._rule.check_interval)

    async def _ask(self) -> None:
        try:
            health, why = self._health(await once_more(self._access, self._get))
        except UnreachableError as error:
            health, why = "ill", str(error)
        except Exception as error:  # no ID token: the metadata server's fault, not the receiver's
            health, why = "blind", f"no ID token: {type(error).__name__}"
        self._asked_at = self._clock.seconds()
        if health == "ill":
            self._bad(why)
            return
        said = "the receiver is up: messages are sent"
        if health == "blind":
            said = "the receiver cannot be asked: messages are sent without knowing"
            _log.error(said, what="breaker_blind", status="error", queue=self._edge.name, why=why)
        self._failures = 0
        if self.is_open:
            self.is_open = False
            _log.warning(said, what="breaker_closed", queue=self._edge.name, why=why)

    def _bad(self, why: str) -> None:
        self._failures += 1
        if not self.is_open and self._failures >= self._rule.failure_threshold:
            self.is_open = True
            _log.error("the receiver is down: messages wait", what="breaker_open", queue=self._edge.name, why=why)

    async def _get(self) -> Answer:
        headers = {"Authorization": f"Bearer {await self._access.id_token(self._edge.audience)}"}
        what = f"health of {self._edge.name}'s receiver"
        return await self._outside.call("GET", self._rule.url, what=what, headers=headers, timeout=TIMEOUT)

    def _health(self, answer: Answer) -> tuple[Health, str]:
        """Say how the receiver is, and why it is not well; blind where the answer does not tell."""
        if answer.status >= 500 or answer.status in AWAY:
            return "ill", f"its health answered {answer.status}"
        if answer.status != 200:
            return "blind", f"its health answered {answer.status}"
        body = answer.json()
        status = body.get("status") if isinstance(body, dict) else None
        ill = status == "degraded" and self._rule.degraded_is_down
        return ("ill", "its health is degraded") if ill else ("well", "")


class Breakers:
    """The breakers of a service's queues; a queue without one lets everything through."""

    def __init__(self, edges: Iterable[QueueEdge], outside: Outside, access: Access, clock: Clock) -> None:
        self._breakers = {
            edge.name: Breaker(edge, edge.token.breaker, outside, access, clock) for edge in edges if edge.token.breaker
        }

    async def let_through(self, queue: str) -> bool:
        """Tell whether a queue's messages may be minted and sent now."""
        breaker = self._breakers.get(queue)
        return breaker is None or await breaker.lets_through()

    @property
    def open(self) -> list[str]:
        """The queues whose messages wait."""
        return [name for name, breaker in self._breakers.items() if breaker.is_open]
