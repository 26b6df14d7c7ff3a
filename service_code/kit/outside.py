"""HTTP to the outside: one session, a total timeout on every call, and errors that carry no URL, key or body.

Every timeout here is well below the shortest dispatch deadline (45 s), so that a handler answers before its queue
gives up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp

from service_code.kit import strict_json

#: Seconds for one call outside, connecting included.
TIMEOUT = 10.0
#: Nobody we call answers with more; a longer answer counts as none.
LONGEST_ANSWER = 4_000_000


class UnreachableError(RuntimeError):
    """The other side did not answer (`timeout`: in time): nothing is known of what it did."""

    def __init__(self, why: str, *, timeout: bool = False) -> None:
        super().__init__(why)
        self.timeout = timeout


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON with its decimals exact, or None where it is no JSON."""
        try:
            return strict_json.loads(self.body, parse_float=Decimal)
        except ValueError:
            return None


class Outside:
    """The one HTTP client of a service."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; connections are kept and reused."""
        connector = aiohttp.TCPConnector(limit=200, limit_per_host=100, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=True
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """Make one call. Any HTTP status is an answer; everything else is an UnreachableError naming `what`."""
        if self._session is None:
            raise UnreachableError(f"{what}: the client is closed")
        limit = aiohttp.ClientTimeout(total=timeout, connect=min(3.0, timeout))
        try:
            async with self._session.request(
                method, url, headers=headers, params=params, data=body, timeout=limit, allow_redirects=False
            ) as response:
                return Answer(response.status, await _whole(response, what))
        except TimeoutError as error:
            raise UnreachableError(f"{what}: no answer in {timeout:g} s", timeout=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{what}: {type(error).__name__}") from error


async def _whole(response: aiohttp.ClientResponse, what: str) -> bytes:
    """Read to the end: an answer comes in as many pieces as the network makes of it."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > LONGEST_ANSWER:
            raise UnreachableError(f"{what}: the answer is longer than {LONGEST_ANSWER} bytes")
    return bytes(body)
