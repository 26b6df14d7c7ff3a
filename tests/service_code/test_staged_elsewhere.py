"""What is wrong with the node, the key or the exchange is never counted against a payment."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from service_code.kit.chain import Node, NodeAwayError, NodeRefusedError
from service_code.kit.outside import Outside
from service_code.kit.signer import LocalSigner, SigningRefusedError
from service_code.kit.wallet.failures import Fault, classify
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts
from tests.service_code.outer import Rpc, serve
from tests.service_code.test_staged import EXECUTIONS, line, triggered
from tests.service_code.test_staged_failures import RETRIES
from tests.service_code.world import World


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("eth_getBalance", "header not found"),
        ("eth_estimateGas", "missing trie node"),
        ("eth_getTransactionCount", "Must be authenticated!"),
    ],
)
async def test_a_node_that_is_behind_or_shut_costs_time_and_no_attempt(
    world: World, chain: Chain, sql: Any, rpc: Rpc, *, method: str, text: str
) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        execution = await stages.until(EXECUTIONS, trigger)
        rpc.harm[method] = text
        for _ in range(4):
            assert (await stages.deliver(execution)).status == 500
        assert world.outer.take(RETRIES) == []
        del rpc.harm[method]
        await stages.run([execution])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, {"code": -32600, "message": "Must be authenticated!"}),
        (503, "service unavailable"),
        (500, {"code": -32000, "message": "upstream error"}),
    ],
)
async def test_an_http_error_of_a_provider_is_the_nodes_absence(status: int, error: Any) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": None, "error": error}, status=status)

    app = web.Application()
    app.add_routes([web.post("/", refuse)])
    outside = Outside()
    await outside.open()
    async with serve(app) as port:
        with pytest.raises(NodeAwayError) as away:
            await Node(f"http://127.0.0.1:{port}/", outside).quote("0x" + "00" * 20, "0x" + "11" * 20, 1)
    await outside.close()
    found = classify(away.value)
    assert (found.code, found.fault) == ("NODE_ERROR", Fault.ELSEWHERE)


@pytest.mark.parametrize("code", ["SIGNER_MISMATCH", "BAD_KEY", "WRONG_CHAIN"])
async def test_a_wrong_key_wakes_somebody_and_buries_no_payment(
    world: World,
    chain: Chain,
    sql: Any,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: list[dict[str, Any]],
    *,
    code: str,
) -> None:
    async def wrong(_self: LocalSigner, _digest: bytes) -> bytes:
        raise SigningRefusedError(code, "the key is another wallet's")

    _, trigger = await triggered(world)
    async with line(world) as stages:
        execution = await stages.until(EXECUTIONS, trigger)
        with monkeypatch.context() as patch:
            patch.setattr(LocalSigner, "sign_digest", wrong)
            for _ in range(4):
                assert (await stages.deliver(execution)).status == 500
        assert alerts(log_lines, "signer_wrong") == 4
        await stages.run([execution])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


def test_no_address_stands_in_what_a_node_said() -> None:
    refused = NodeRefusedError("eth_estimateGas", "insufficient funds of 0x" + "aB" * 20 + " for gas")
    assert classify(refused).why == "eth_estimateGas: insufficient funds of 0x.. for gas"
