"""Makes a Starlette application of a declared service: its routes, its limits, its health.

Every answer is JSON. Bodies are limited before they are read whole; too many requests at once are refused as overload.
GET /health asks every component at once, within a probe's patience; only a needed one that is down makes it 503, so
that a node or partner that is slow or away does not keep a new revision from starting. A check that is slow goes on,
and its end is the next answer's: the first connection to the database may take longer than a probe waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service_code.kit import logs, measure, probe
from service_code.kit.call import Call
from service_code.kit.db import OverloadedError, unavailable
from service_code.kit.door import Door, DoorError
from service_code.kit.messages import UnreadableError
from service_code.kit.push import PushWorker
from service_code.kit.runtime import Kit
from service_code.kit.service import (
    Component,
    Handler,
    Incoming,
    Operator,
    Public,
    Reply,
    Schedule,
    Service,
    Subscription,
)
from service_code.kit.worker import Worker

#: Bytes of a request behind a queue, a topic or an account: Cloud Tasks sends at most about as many. A public door
#: takes what the service declares (`max_body` in service.yaml).
LONGEST_BODY = 1_048_576
#: Requests in hand above which an instance answers 429.
MAX_IN_FLIGHT = 250
#: Seconds for which a health answer waits for its components, all at once (Cloud Run's probes wait for one second), for
#: which one check may go on meanwhile, and for which an answer is repeated.
HEALTH_TIMEOUT = 0.6
HEALTH_LONGEST = 10.0
HEALTH_LIVES = 1.0
#: The newest migration that this code needs; an older database is unhealthy.
SCHEMA = "20261124000012"

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_ANY = re.compile(r"\{(\w+)\}")
_log = logs.get("app")

Endpoint = Callable[[Request], Awaitable[Response]]


class App:
    """Holds what the routes share."""

    def __init__(self, kit: Kit, service: Service) -> None:
        self._kit = kit
        self._service = service
        self._door = Door(kit.settings, kit.clock, kit.outside, public=bool(service.public))
        self._in_flight = 0
        database = () if kit.stateless else (Component("database", self._database, needed=True),)
        self._components = (*database, *service.components)
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._health: tuple[float, int, dict[str, Any]] = (float("-inf"), 503, {})
        kit.mint(service.minters)

    def starlette(self) -> Starlette:
        """Return the application."""
        service = self._service
        routes = [
            Route("/health", self._health_door, methods=["GET"]),
            *(
                Route(one.path, self._guarded(one.path, self._public(one)), methods=[one.method])
                for one in service.public
            ),
            *(
                Route(one.path, self._guarded(one.path, self._handler(one)), methods=["POST"])
                for one in service.handlers
            ),
            *(
                Route(one.path, self._guarded(one.path, self._subscription(one)), methods=["POST"])
                for one in service.subscriptions
            ),
            *(
                Route(one.path, self._guarded(one.path, self._schedule(one)), methods=["POST"])
                for one in service.schedules
            ),
            *(
                # An id of a partner's may hold a slash.
                Route(
                    _ANY.sub(r"{\1:path}", one.path), self._guarded(one.path, self._operator(one)), methods=[one.method]
                )
                for one in service.operator
            ),
        ]
        return Starlette(
            routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: _http_error, Exception: _error}
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        await self._kit.open()
        _log.info("serving", status="started", revision=self._kit.settings.revision)
        try:
            yield
        finally:
            for check in self._checks.values():
                check.cancel()
            await self._kit.close()
            _log.info("stopped", status="stopped")

    def _guarded(self, path: str, endpoint: Endpoint) -> Endpoint:
        async def run(request: Request) -> Response:
            logs.begin(endpoint=path, trace=trace_of(request), unique_id=None, attempt_number=1)
            if self._in_flight >= MAX_IN_FLIGHT:
                _log.warning("too many requests at once", status="overloaded")
                return JSONResponse({"status": "overloaded"}, 429, {"Retry-After": "1"})
            self._in_flight += 1
            try:
                return await endpoint(request)
            except DoorError as error:
                _log.warning("the caller was refused", what="caller_refused", status="refused", why=error.why)
                return JSONResponse({"error": error.why}, error.status)
            except TooLongError as error:
                _log.warning("the body is too long", what="body_too_long", status="refused")
                return JSONResponse({"error": str(error)}, 413)
            except ClientDisconnect:
                return JSONResponse({"error": "the caller went away"}, 400)
            finally:
                self._in_flight -= 1

        return run

    def _handler(self, handler: Handler) -> Endpoint:
        return self._behind(handler.path, Worker(self._kit, handler))

    def _subscription(self, subscription: Subscription) -> Endpoint:
        return self._behind(subscription.path, PushWorker(self._kit, subscription))

    def _behind(self, path: str, worker: Worker) -> Endpoint:
        async def run(request: Request) -> Response:
            await self._door.check(request, path)
            if (mark := request.headers.get(probe.HEADER)) is not None:
                return await probe.answer(self._kit, mark)
            await self._kit.record.latest()  # before any transaction: a read may take its time, and choices go by it
            return await worker.answer(request, await read_body(request, LONGEST_BODY))

        return run

    def _public(self, public: Public) -> Endpoint:
        async def run(request: Request) -> Response:
            incoming = await _incoming(request, self._kit.settings.public_max_body)
            return await self._reply(lambda call: public.run(incoming, call))

        return run

    def _schedule(self, schedule: Schedule) -> Endpoint:
        async def sweep(call: Call) -> Reply:
            return Reply(200, await schedule.run(call))

        async def run(request: Request) -> Response:
            await self._door.check(request, schedule.path)
            return await self._reply(sweep)

        return run

    def _operator(self, operator: Operator) -> Endpoint:
        async def run(request: Request) -> Response:
            who = await self._door.check(request, operator.path)
            _log.info("operator's call", what="operator_call", account=who.partition("@")[0])
            if not all(value.isprintable() for value in request.path_params.values()):
                raise HTTPException(404)  # no id of ours, and the database takes no NUL
            incoming = await _incoming(request, LONGEST_BODY, caller=who)

            async def answer(call: Call) -> Reply:
                try:
                    return await operator.run(incoming, call)
                except UnreadableError as error:
                    return Reply(400, {"error": error.code, "reason": error.why})

            return await self._reply(answer, refusals_write=False)

        return run

    async def _reply(self, work: Callable[[Call], Awaitable[Reply]], *, refusals_write: bool = True) -> Response:
        # A public door keeps what it refuses (a dead letter); an operator who is refused has changed nothing.
        started = time.perf_counter()
        call = Call(self._kit)
        try:
            await self._kit.record.latest()
            reply = await work(call)
            if reply.status < 400 or refusals_write:
                await call.commit()
            else:
                await call.rollback()
        except BaseException as error:
            await call.rollback(error)
            if not isinstance(error, Exception):
                raise
            away = isinstance(error, OverloadedError) or unavailable(error)
            what = "unavailable" if away else "unexpected_error"
            _log.error("the request failed", status="error", what=what, error=error)
            reply = Reply(503, {"error": "try again later"}) if away else Reply(500, {"error": "internal error"})
        duration = round((time.perf_counter() - started) * 1000, 1)
        status = str(reply.body.get("status") or reply.body.get("error") or reply.status)
        write = _log.warning if 400 <= reply.status < 500 else _log.info
        said = {"why": reply.body.get("reason"), **measure.fields()}
        write("answered", what="answered", status=status, http_status=reply.status, duration=duration, **said)
        return JSONResponse(dict(reply.body), reply.status)

    async def _health_door(self, _request: Request) -> Response:
        at, status, body = self._health
        if time.monotonic() - at > HEALTH_LIVES:
            status, body = await self._ask()
            self._health = (time.monotonic(), status, body)
        return JSONResponse(body, status)

    async def _ask(self) -> tuple[int, dict[str, Any]]:
        async def one(component: Component) -> str:
            check = self._checks.get(component.name)
            if check is None:
                check = asyncio.create_task(_within(component.check))
                self._checks[component.name] = check
            try:
                await asyncio.wait_for(asyncio.shield(check), HEALTH_TIMEOUT)
            except Exception as error:
                logs.begin(endpoint="/health")
                _log.warning(
                    "a component is down", status="down", what="component_down", part=component.name, error=error
                )
                return "down"
            finally:
                if check.done():
                    self._checks.pop(component.name, None)
            return "ok"

        states = await asyncio.gather(*(one(component) for component in self._components))
        down = any(
            state != "ok" and component.needed for component, state in zip(self._components, states, strict=True)
        )
        overall = "down" if down else ("ok" if all(state == "ok" for state in states) else "degraded")
        names = (component.name for component in self._components)
        return 503 if down else 200, {
            "status": overall,
            "service": self._kit.settings.service,
            "revision": self._kit.settings.revision,
            "components": {name: {"status": state} for name, state in zip(names, states, strict=True)},
        }

    async def _database(self) -> None:
        row = await self._kit.db.row("SELECT max(version) AS version FROM schema_migrations")
        if row is None or (row["version"] or "") < SCHEMA:
            raise RuntimeError("the database's schema is older than this code")


async def _within(check: Callable[[], Awaitable[None]]) -> None:
    await asyncio.wait_for(check(), HEALTH_LONGEST)


class TooLongError(RuntimeError):
    """The body is longer than a request at this door may be."""

    def __init__(self, longest: int) -> None:
        super().__init__(f"the body is longer than {longest} bytes")


async def read_body(request: Request, longest: int) -> bytes:
    """Read the body up to the limit, whatever its headers claim; nothing of one that says that it is longer."""
    claimed = request.headers.get("content-length", "")
    if claimed.isdigit() and int(claimed[:12]) > longest:
        raise TooLongError(longest)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > longest:
            raise TooLongError(longest)
    return bytes(body)


async def _incoming(request: Request, longest: int, caller: str = "") -> Incoming:
    body = await read_body(request, longest)
    return Incoming(
        headers=request.headers, query=request.query_params, path=request.path_params, body=body, caller=caller
    )


def trace_of(request: Request) -> str:
    """Return the trace that the caller goes on with, or begin one."""
    match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    if match:
        return match[1]
    cloud = request.headers.get("x-cloud-trace-context", "").partition("/")[0]
    return cloud if re.fullmatch(r"[0-9a-f]{32}", cloud) else secrets.token_hex(16)


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": error.detail if isinstance(error, HTTPException) else "internal error"}, status)


async def _error(_request: Request, error: Exception) -> Response:
    _log.error("the request failed", status="error", what="unexpected_error", error=error)
    return JSONResponse({"error": "internal error"}, 500)


def build(kit: Kit, service: Service) -> Starlette:
    """Make the application of a service."""
    return App(kit, service).starlette()
