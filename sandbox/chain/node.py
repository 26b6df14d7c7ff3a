"""JSON-RPC calls to the chain, for the sandbox itself.

Owns: one HTTP connection pool to anvil. Leaves alone: the door for outsiders, which passes bytes through.
"""

from __future__ import annotations

import itertools
from typing import Any

import aiohttp
import orjson

from sandbox.errors import ChainError

#: No call of ours should take longer on a local chain.
CALL_SECONDS = 30.0


class Node:
    """A client of one running anvil."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ids = itertools.count(1)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        )

    async def call(self, method: str, *params: Any) -> Any:
        """Call and return the result; ChainError carries the chain's own refusal."""
        body = orjson.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})
        answer = orjson.loads(await self.post(body))
        if error := answer.get("error"):
            raise ChainError(int(error.get("code", 0)), str(error.get("message", "")))
        return answer.get("result")

    async def number(self, method: str, *params: Any) -> int:
        """Call a method whose result is a quantity."""
        return int(await self.call(method, *params), 16)

    async def post(self, body: bytes) -> bytes:
        """Pass bytes to the chain and its answer back; an OSError means that it is not there."""
        headers = {"content-type": "application/json"}
        try:
            async with self._session.post(self.url, data=body, headers=headers) as response:
                return await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionError(f"the chain does not answer: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
