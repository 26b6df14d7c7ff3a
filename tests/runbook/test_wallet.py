"""Incidents of the wallet and the chain: a payout that is stuck, a foreign nonce, dear gas, a token that is blocked."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account

from tests.payments.forge import Insider
from tests.payments.stack import Stack, broken, http, until
from tests.runbook.incident import Do, incident, whole
from tests.runbook.staging import alerting, asked, sent, well

pytestmark = pytest.mark.stack


@whole
@incident("A payout is stuck", "The wallet runs low", "Gas is dear")
def test_a_payout_that_no_block_takes_is_abandoned_and_replayed(stack: Stack, do: Do) -> None:
    with broken(stack, target="chain", kind="drop", method="mine"):
        (payment,) = sent(stack, "single")
        until(lambda: "open nonces            none" not in do("./sluice wallet show"), 20, lambda: do.said)
        assert "abandoning" in do("./sluice wallet abandon ID", {"ID": payment})
    until(lambda: bool(stack.advance(60)) and payment in do("./sluice dead list"), 60, lambda: do.said)
    assert "open nonces            none" in do("./sluice wallet show")
    assert "balance=" in do("""./sluice logs --filter 'jsonPayload.event="wallet_means"' --limit 1""")
    asked("dead", "replay", payment, "--yes")
    stack.paid([payment])
    well(stack)


@incident("The wallet is stopped")
def test_a_foreign_nonce_stops_the_wallet_until_the_chain_cannot_take_it_back(stack: Stack, do: Do) -> None:
    insider = Insider(stack)
    key = insider.key("HOST_WALLET_PRIVATE_KEY")
    insider.close()
    host = Account.from_key(key)
    nonce = int(rpc(stack.chain, "eth_getTransactionCount", host.address, "latest"), 16)
    foreign = host.sign_transaction({
        "type": 2, "chainId": 31337, "nonce": nonce, "to": host.address, "value": 0, "gas": 21000,
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    })  # fmt: skip
    taken = str(rpc(stack.chain, "eth_sendRawTransaction", foreign.raw_transaction.to_0x_hex()))
    http("POST", f"{stack.sandbox}/chain/mine", {})
    (payment,) = sent(stack, "single")
    stack.advance(61)
    assert "wallet-stopped" in alerting()
    assert f"stopped: nonce {nonce} was used by somebody else" in do("./sluice wallet show")
    assert "NOT_FINAL" in do("./sluice wallet resume", code=1)

    block = int(rpc(stack.chain, "eth_getTransactionReceipt", taken)["blockNumber"], 16)
    with broken(stack, target="chain", kind="drop", method="mine"):  # it would be mined once more
        http("POST", f"{stack.sandbox}/chain/reorg", {"block": block})
        assert http("POST", f"{stack.sandbox}/chain/drop", {"hash": taken})[1] == {"dropped": True}
    assert "the wallet is stopped" in do("./sluice reconcile", code=1)
    assert "the wallet is running" in do("./sluice wallet resume")
    do("./sluice wallet resume --wallet 0x...", {"0x...": host.address})  # the same, told by its address
    assert "stopped" not in do("./sluice wallet show")
    stack.advance(6 * 60)
    stack.paid([payment])
    well(stack)


def rpc(node: str, method: str, *params: object) -> Any:
    """A call of a node."""
    code, said = http("POST", node, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert code == 200, said
    assert "result" in said, said
    return said["result"]
