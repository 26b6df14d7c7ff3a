"""Answers from outside are read whole, in however many pieces they come, and never without end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from service_code.kit.chain import Node
from service_code.kit.changenow import ChangeNow
from service_code.kit.outside import LONGEST_ANSWER, Outside, UnreachableError
from tests.service_code.outer import serve

#: A block of the main chain without its transactions' bodies is about this long.
MAINNET_HASHES = 400
HASH = "0x" + "ab" * 32


def in_pieces(body: bytes, *, size: int) -> Any:
    """Make a door that writes each piece by itself, and the next one only when the first has gone out."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(0.002)  # else the system joins the pieces
        return response

    return answer


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    outside = Outside()
    await outside.open()
    yield outside
    await outside.close()


def app(door: Any) -> web.Application:
    app = web.Application()
    app.add_routes([web.route("*", "/{rest:.*}", door)])
    return app


async def test_a_node_answer_in_two_pieces_is_one_answer(outside: Outside) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}).encode()
    async with serve(app(in_pieces(body, size=len(body) // 2 + 1))) as port:
        assert await Node(f"http://127.0.0.1:{port}/", outside).chain_id() == 31337


async def test_an_exchange_answer_in_two_pieces_is_one_answer(outside: Outside) -> None:
    order = {"id": "cn1", "status": "waiting", "payinAddress": "0x" + "ab" * 20, "expectedAmountFrom": 0.5}
    body = json.dumps(order).encode()
    async with serve(app(in_pieces(body, size=len(body) // 2 + 1))) as port:
        state = await ChangeNow(f"http://127.0.0.1:{port}", "key", outside).state("cn1")
    assert state.status == "waiting"


async def test_a_block_as_large_as_the_main_chains_is_read_whole(outside: Outside) -> None:
    block = {"hash": HASH, "number": "0x10", "logsBloom": "0x" + "00" * 256, "transactions": [HASH] * MAINNET_HASHES}
    answer = {"jsonrpc": "2.0", "id": 1, "result": block | {"withdrawals": [HASH] * 1500}}
    body = json.dumps([answer]).encode()
    assert len(body) > 100_000
    async with serve(app(in_pieces(body, size=16_384))) as port:
        assert await Node(f"http://127.0.0.1:{port}/", outside).block_hashes([16]) == {16: HASH}


async def test_an_answer_without_end_is_none(outside: Outside) -> None:
    async with serve(app(in_pieces(b" " * (LONGEST_ANSWER + 1), size=LONGEST_ANSWER))) as port:
        with pytest.raises(UnreachableError, match="longer"):
            await outside.call("GET", f"http://127.0.0.1:{port}/", what="a node")
