"""The database: one asyncpg pool, transactions, and whole numbers for NUMERIC(78,0).

The password is always an access token of the service's account (Cloud SQL IAM login; a server that trusts loopback
ignores it). SQL is written by hand beside the rules it serves; no statement asks the database for the time.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from service_code.kit import measure
from service_code.kit.access import Access

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
else:
    Connection = Any

T = TypeVar("T")

#: Connections of one instance where the environment says nothing else. Postgres counts those of all instances.
POOL_SIZE = 10
#: Seconds to wait for a free connection before the request is refused as overload.
ACQUIRE_TIMEOUT = 5.0
#: Limits kept by the server itself, in milliseconds.
SERVER_SETTINGS = {
    "application_name": "sluice",
    "statement_timeout": "10000",
    "lock_timeout": "8000",
    "idle_in_transaction_session_timeout": "40000",
    "jit": "off",
}
#: Trouble that a second try of an idempotent statement solves.
PASSING = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    ConnectionError,
)
#: The database is away or will not have us now.
UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    OSError,
)
#: How the driver tells of a connection that the server has ended: its protocol takes no further statement
#: (InternalClientError, where the server's last word came between two statements), and nor does what stands on it.
ENDED = ("cannot switch to", "connection is closed", "connection has been released back")


class OverloadedError(RuntimeError):
    """No database connection was free in time."""


def unavailable(error: BaseException) -> bool:
    """Tell whether something failed since the database is away, will not have us now, or ended the connection."""
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return any(said in str(error) for said in ENDED)
    return isinstance(error, UNAVAILABLE)


class Database:
    """The pool of one service."""

    def __init__(self, url: str, access: Access, service: str, pool_size: int = POOL_SIZE) -> None:
        self._url = url
        self._access = access
        self._service = service
        self._pool_size = pool_size
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Prepare the pool; connections are made when they are needed, so a service starts without its database."""
        self._pool = await asyncpg.create_pool(
            dsn=self._url,
            password=self._access.token,
            min_size=0,
            max_size=self._pool_size,
            max_inactive_connection_lifetime=300,
            timeout=5,
            command_timeout=12,
            init=_prepare,
            reset=_reset,
            server_settings={**SERVER_SETTINGS, "application_name": self._service},
        )

    async def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection."""
        if self._pool is None:
            raise OverloadedError("the database is not open")
        started = time.perf_counter()
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except TimeoutError as error:
            raise OverloadedError("no database connection was free in time") from error
        finally:
            measure.waited_for_database(time.perf_counter() - started)
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction that commits when the block ends well."""
        async with self.connection() as connection:
            async with connection.transaction():
                yield connection
                ended = time.perf_counter()
            measure.waited_for_database(time.perf_counter() - ended)  # the commit: where a write waits for the disk
            measure.effected()

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        with measure.statement():
            async with self.connection() as connection:
                return await connection.fetch(sql, *args)

    async def row(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """Run one statement and return its first row."""
        with measure.statement():
            async with self.connection() as connection:
                return await connection.fetchrow(sql, *args)


async def again(work: Callable[[], Awaitable[T]], tries: int = 3) -> T:
    """Run idempotent work, and run it anew on deadlocks, serialization failures and broken connections."""
    for _ in range(tries - 1):
        try:
            return await work()
        except PASSING:
            continue
    return await work()


async def _reset(connection: Any) -> None:
    # Nothing of ours outlives its transaction: no session setting, cursor, listener or advisory lock. The driver's own
    # reset, a statement after each use of a connection, would guard against what does not exist.
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def _prepare(connection: Any) -> None:
    # Every numeric of ours has scale 0: it is read and written as a whole number.
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
