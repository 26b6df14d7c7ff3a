"""Creating tasks: the one thing of Cloud Tasks that services may do, over REST with google.auth's token.

A thin client rather than the official one: docs/adr/thin-tasks-client.md has the figures. The seam between Google and
the local cloud is the endpoint alone. A name that is taken means that the task was made before: that counts as made.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service_code.kit.access import Access, once_more
from service_code.kit.clock import to_millis
from service_code.kit.outside import Answer, Outside, UnreachableError
from service_code.kit.releases import HEADER
from service_code.kit.settings import QueueEdge
from service_code.kit.together import Together

#: Seconds for one create: the caller of a public door is waiting for it.
TIMEOUT = 5.0
#: So much of a refusal is told on: the local cloud's names the smallest binding and the command that makes it.
LONGEST_REASON = 1000


#: When the task was first to be delivered, in milliseconds: by this its receiver knows how late it is.
DUE_HEADER = "X-Sluice-Due"


class TaskError(RuntimeError):
    """The task was not made, as far as we know; the outbox keeps it and the sweeper tries again."""


def task_id(outbox_id: str) -> str:
    """Return the task's id: a hash, since sequential names are slow and ids may not travel in clear."""
    return hashlib.sha256(outbox_id.encode()).hexdigest()[:40]


def traceparent(trace: str, outbox_id: str) -> str:
    """Return the header by which the receiver goes on with the trace."""
    return f"00-{trace}-{task_id(outbox_id)[:16]}-01"


class Tasks:
    """Creates tasks in the queues of the settings."""

    def __init__(self, endpoint: str, queues: Mapping[str, QueueEdge], outside: Outside, access: Access) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._queues = queues
        self._outside = outside
        self._access = access
        self._together = Together(self._post)

    async def create(
        self,
        queue: str,
        outbox_id: str,
        body: bytes,
        *,
        at: datetime,
        trace: str = "",
        due: datetime | None = None,
        canary: bool = False,
        pins: str = "",
    ) -> bool:
        """Create the task of an outbox row; False if its name was taken, so that it had been made before."""
        headers = {"Content-Type": "application/json", DUE_HEADER: str(to_millis(due or at))}
        if trace:
            headers["traceparent"] = traceparent(trace, outbox_id)
        if pins:
            headers[HEADER] = pins
        return await self._create(queue, task_id(outbox_id), headers, body, due, canary=canary)

    async def probe(self, queue: str, task: str, headers: Mapping[str, str]) -> None:
        """Create a task that is no message (`kit.probe`)."""
        await self._create(queue, task, headers, b"", None)

    async def _create(
        self,
        queue: str,
        called: str,
        headers: Mapping[str, str],
        body: bytes,
        due: datetime | None,
        *,
        canary: bool = False,
    ) -> bool:
        edge = self._queues.get(queue)
        if edge is None:
            raise TaskError(f"{queue} is not among this service's QUEUES")
        task: dict[str, Any] = {
            "name": f"{edge.path}/tasks/{called}",
            "dispatchDeadline": edge.dispatch_deadline,
            "httpRequest": {
                "url": edge.canary_url if canary and edge.canary_url else edge.url,
                "httpMethod": "POST",
                "headers": dict(headers),
                "body": base64.b64encode(body).decode(),
                "oidcToken": {"serviceAccountEmail": edge.invoker, "audience": edge.audience},
            },
        }
        if due is not None:
            task["scheduleTime"] = due.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        answer = await once_more(self._access, lambda: self._together.create(edge.path, task))
        if answer.status == 409 and _error(answer).get("status") != "ABORTED":  # that is 409 too, and made nothing
            return False
        if answer.status != 200:
            raise TaskError(f"{queue} refused the task: {answer.status} {_reason(answer)}")
        return True

    async def _post(self, path: str, body: bytes) -> Answer:
        try:
            token = await self._access.token()
        except Exception as error:
            raise TaskError(f"no access token: {type(error).__name__}") from error
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            return await self._outside.call(
                "POST", f"{self._endpoint}/v2/{path}", what="Cloud Tasks", headers=headers, body=body, timeout=TIMEOUT
            )
        except UnreachableError as error:
            raise TaskError(str(error)) from error


def _reason(answer: Answer) -> str:
    return str(_error(answer).get("message", ""))[:LONGEST_REASON]


def _error(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}
