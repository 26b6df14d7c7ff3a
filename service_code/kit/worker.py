"""The one place that knows HTTP for doors behind a queue: caller, body, message, outcome, answer.

Next, Done and Dead answer 200, Retry and unexpected errors 500; 429 and 503 are overload alone, since they slow the
whole queue. A body that is no message of this door is stored as a dead letter and acknowledged: retrying would not mend
it; where there is no database, the log keeps it. A message of a newer release is a Retry, since a rollback must not
kill payments. No answer carries more of an error than a code and a reason of our own.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from service_code.kit import deadletters, logs, measure, releases
from service_code.kit.call import Call
from service_code.kit.db import OverloadedError, unavailable
from service_code.kit.messages import NewerError, UnreadableError
from service_code.kit.outcomes import Dead, Done, Forward, Next, Outcome, Retry, Send
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler
from service_code.kit.settings import DIRECT, QUEUED
from service_code.kit.tasks import DUE_HEADER, TaskError

_log = logs.get("worker")


class Worker:
    """Runs one handler for each request at its door."""

    def __init__(self, kit: Kit, handler: Handler) -> None:
        self._kit = kit
        self._handler = handler

    async def answer(self, request: Request, body: bytes, /) -> JSONResponse:
        """Handle one delivery whose caller has been verified."""
        attempt = attempt_number(request)
        pins = releases.decode(request.headers.get(releases.HEADER, ""))
        call = Call(self._kit, attempt=attempt, task=request.headers.get("x-cloudtasks-taskname"), pins=pins)
        queue, due = request.headers.get("x-cloudtasks-queuename"), _digits(request.headers.get(DUE_HEADER, ""))
        age = None if due is None else max(0.0, round(self._kit.clock.seconds() - due / 1000, 3))
        logs.about(attempt_number=attempt, task=call.task, queue=queue, task_age=age)
        return await self.handle(body, call, way=QUEUED if queue else DIRECT)

    async def handle(self, body: bytes, call: Call, *, way: str, refused: Dead | None = None) -> JSONResponse:
        """Decide and act; `way` is how it came, `refused` the outcome of a body that was found to be no message."""
        started = time.perf_counter()
        try:
            outcome = refused or await self._decide(body, call)
            status, answer = await self._act(outcome, body, call)
        except OverloadedError as error:
            await call.rollback(error)
            status, answer = 503, {"status": "overloaded"}
            _log.warning("overloaded", status="overloaded", error=str(error))
        except BaseException as error:
            await call.rollback(error)
            if not isinstance(error, Exception):
                raise
            status, answer = 500, {"status": "error"}
            what = "database_unavailable" if unavailable(error) else "unexpected_error"
            _log.error("the handler failed", status="error", what=what, error=error)
        duration = round((time.perf_counter() - started) * 1000, 1)
        said = {"duration": duration, "way": way, "why": answer.get("why"), **measure.fields()}
        if "code" in answer:
            said["code"] = answer["code"]
        age = 0.0 if way == DIRECT else logs.current("task_age")  # a direct call is as old as its request
        if age is not None and status == 200:
            said["task_seconds"] = round(age + duration / 1000, 3)
        _log.info("handled", what="handled", status=answer["status"], http_status=status, **said)
        return JSONResponse(answer, status)

    async def _decide(self, body: bytes, call: Call) -> Outcome:
        try:
            message = self._handler.message.decode(body)
        except UnreadableError as error:
            return Dead(error.code, error.why)
        except NewerError as error:
            _log.error("a message of a newer release waits", what="newer_message", status="retry", why=str(error))
            return Retry(str(error))
        unique_id = getattr(message, "unique_id", None)
        if unique_id is not None:
            call.about(unique_id, getattr(message, "generation", 1))
        return await self._handler.run(message, call)

    async def _act(self, outcome: Outcome, body: bytes, call: Call) -> tuple[int, dict[str, str]]:
        match outcome:
            case Done():
                await call.commit()
                return 200, {"status": outcome.status}
            case Next():
                await self._next(outcome, call)
                return 200, {"status": "next"}
            case Forward():
                return await self._forward(outcome, call)
            case Dead():
                await self._bury(outcome, body, call)
                return 200, {"status": "dead", "code": outcome.code, "why": outcome.why}
            case Retry():
                await call.rollback()
                return 500, {"status": "retry", "why": outcome.why}

    async def _next(self, outcome: Next, call: Call) -> None:
        if call.unique_id is None:
            raise RuntimeError("a Next needs the payment that it is about")
        send = Send(
            queue=outcome.queue, message=outcome.message, unique_id=call.unique_id, key=outcome.key, after=outcome.after
        )
        rows = await self._kit.outbox.write(await call.begin(), [send], call.now)
        await call.commit()
        # The commit stands: from here on nothing may turn the answer into a failure.
        sending = self._kit.outbox.send(rows)
        results = await asyncio.gather(sending, outcome.then() if outcome.then else _nothing(), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                _log.error("work after the commit failed; a later delivery or sweep does it", error=result)
            elif isinstance(result, BaseException):
                raise result

    async def _forward(self, outcome: Forward, call: Call) -> tuple[int, dict[str, str]]:
        trace, body = str(logs.current("trace") or ""), outcome.message.encode()
        canary = await self._kit.releases.to_canary(outcome.queue, call.pins)
        pins = self._kit.releases.handed_on(outcome.queue, call.pins)
        try:
            made = await self._kit.tasks.create(
                outcome.queue, outcome.key, body, at=call.now, trace=trace, canary=canary, pins=pins
            )
        except TaskError as error:
            _log.error("the task could not be made", what="enqueue_failed", queue=outcome.queue, error=str(error))
            return 500, {"status": "retry", "why": "the next task could not be made"}
        if made:
            measure.effected()
        _log.info("task made" if made else "task was made before", queue=outcome.queue, status="sent")
        return 200, {"status": "next"}

    async def _bury(self, outcome: Dead, body: bytes, call: Call) -> None:
        letter = deadletters.Letter(
            service=self._kit.settings.service,
            endpoint=self._handler.path,
            code=outcome.code,
            why=outcome.why,
            body=body,
            unique_id=call.unique_id,
            generation=call.generation,
            task=call.task,
            attempt=call.attempt,
        )
        if self._kit.stateless:
            said: dict[str, Any] = {"body": deadletters.strike(body)}
        else:
            said = {"repeat": not await deadletters.store(await call.begin(), letter, call.now)}
            await call.commit()
        # Said at every delivery that ends so: a crash between commit and log must not lose the alert.
        _log.error("dead letter", what="dead_letter", status="dead", code=outcome.code, why=outcome.why, **said)


async def _nothing() -> None:
    return None


def attempt_number(request: Request) -> int:
    """Return the number of this attempt, from 1, by the queue's header."""
    retries = _digits(request.headers.get("x-cloudtasks-taskretrycount", ""))
    return 1 if retries is None or retries >= 10**8 else retries + 1


def _digits(text: str) -> int | None:
    """Read a header's number of at most 15 digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
