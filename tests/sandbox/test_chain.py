"""The chain survives, follows the clock, and fails when it is told to."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.conftest import HOST, ROOT, Sandbox, alive, until

SOMEBODY = "0x" + "ee" * 20


def test_a_clean_restart_is_exact(make: Callable[..., Sandbox]) -> None:
    box = make().start()
    receipt = box.receipt(box.pay(SOMEBODY, 5))
    rpc = box.ready["rpc"].rpartition("/")[2]
    assert box.stop() == 0
    box.start()
    assert box.ready["rpc"].rpartition("/")[2] == rpc
    assert box.rpc("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
    assert box.rpc("eth_getBlockByNumber", receipt["blockNumber"], False)["hash"] == receipt["blockHash"]
    assert int(box.rpc("eth_getBalance", SOMEBODY, "latest"), 16) == 5


def test_kill_9_of_everything_forgets_no_payment_and_leaves_no_process(make: Callable[..., Sandbox]) -> None:
    box = make().start()
    receipts = [box.receipt(box.pay(SOMEBODY, wei)) for wei in (1, 2, 3)]
    box.request("POST", "/faults", {"target": "chain", "method": "mine", "kind": "hold"})
    waiting = box.pay(SOMEBODY, 4)
    anvil = box.get("/status")["chain"]["anvil_pid"]
    box.stop(signal.SIGKILL)
    until(lambda: not alive(anvil), "the end of anvil")
    box.start()
    for receipt in receipts:
        again = box.rpc("eth_getTransactionReceipt", receipt["transactionHash"])
        for name in ("blockNumber", "gasUsed", "effectiveGasPrice", "status", "transactionIndex"):
            assert again[name] == receipt[name], name
    assert int(box.receipt(waiting)["status"], 16) == 1
    assert int(box.rpc("eth_getBalance", SOMEBODY, "latest"), 16) == 10


def test_a_killed_anvil_comes_back_with_all_payments(make: Callable[..., Sandbox]) -> None:
    box = make().start()
    receipt = box.receipt(box.pay(SOMEBODY, 5))
    os.kill(box.get("/status")["chain"]["anvil_pid"], signal.SIGKILL)
    until(lambda: _try(lambda: box.get("/status"))["chain"]["anvil_restarts"] == 1, "the restart of anvil")
    assert box.rpc("eth_getTransactionReceipt", receipt["transactionHash"])["blockNumber"] == receipt["blockNumber"]
    box.receipt(box.pay(SOMEBODY, 1))


def _try(look: Callable[[], dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    try:
        return look()
    except AssertionError:
        return {"chain": {"anvil_restarts": 0}}


def test_the_pool_is_real_and_a_bid_can_be_raised(box: Sandbox) -> None:
    box.request("POST", "/faults", {"target": "chain", "method": "mine", "kind": "hold"})
    nonce = int(box.rpc("eth_getTransactionCount", HOST.address, "latest"), 16)
    first = box.pay(SOMEBODY, 5, nonce)
    assert box.rpc("eth_getTransactionReceipt", first) is None
    assert int(box.rpc("eth_getTransactionCount", HOST.address, "pending"), 16) == nonce + 1
    signed = HOST.sign_transaction({
        "type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(SOMEBODY[2:]), "value": 5, "gas": 21000,
        "maxFeePerGas": 2 * 10**11, "maxPriorityFeePerGas": 2 * 10**9,
    })  # fmt: skip
    second = box.rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
    box.request("DELETE", "/faults")
    assert int(box.receipt(second)["effectiveGasPrice"], 16) > 2 * 10**9
    assert box.rpc("eth_getTransactionReceipt", first) is None


def test_blocks_follow_the_moved_clock_and_become_final(make: Callable[..., Sandbox]) -> None:
    box = make().start()
    receipt = box.receipt(box.pay(SOMEBODY, 5))
    before = int(box.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    box.move_clock(3600.0)
    mined = int(receipt["blockNumber"], 16)
    until(lambda: int(box.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16) >= mined, "finality")
    until(
        lambda: 3598 <= int(box.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) - before <= 3660,
        "a block of the moved time",
    )


def test_the_door_wants_its_key_and_offers_no_magic(box: Sandbox) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert box.request("POST", box.ready["rpc"].rpartition("/")[0] + "/wrong", call)[0] == 401
    for method in ("anvil_setBalance", "evm_mine", "eth_sendTransaction"):
        _, body = box.request("POST", box.ready["rpc"], call | {"method": method})
        assert body["error"]["code"] == -32601
    _, batch = box.request("POST", box.ready["rpc"], [call, call | {"id": 2, "method": "eth_blockNumber"}])
    assert [reply["id"] for reply in batch] == [1, 2]
    assert box.request("POST", box.ready["rpc"], {"nonsense": 1})[0] == 400


def test_faults_bite_as_often_as_they_were_told_to(box: Sandbox) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    for fault, status in (({"status": 429}, 429), ({}, 500)):
        box.request(
            "POST", "/faults", {"target": "chain", "method": "eth_chainId", "kind": "error", "count": 1} | fault
        )
        assert box.request("POST", box.ready["rpc"], call)[0] == status
        assert box.rpc("eth_chainId") == "0x7a69"
    slow = {"kind": "error", "code": -32005, "message": "slow", "count": 1}
    box.request("POST", "/faults", {"target": "chain", "method": "eth_chainId"} | slow)
    assert box.request("POST", box.ready["rpc"], call)[1]["error"] == {"code": -32005, "message": "slow"}
    box.request("POST", "/faults", {"target": "chain", "method": "eth_chainId", "kind": "drop", "count": 1})
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        box.rpc("eth_chainId")
    assert box.get("/faults") == {"faults": []}
    assert box.request("POST", "/faults", {"target": "moon", "kind": "drop"})[0] == 400


def test_a_lost_answer_is_a_payment_that_was_made(box: Sandbox) -> None:
    fault = {"target": "chain", "method": "eth_sendRawTransaction", "kind": "lost_answer", "count": 1}
    lucky = "0x" + "1c" * 20
    box.request("POST", "/faults", fault)
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        box.pay(lucky, 5)
    until(lambda: int(box.rpc("eth_getBalance", lucky, "latest"), 16) == 5, "the payment on chain")


def test_a_held_call_waits_until_it_is_released(box: Sandbox) -> None:
    _, fault = box.request(
        "POST", "/faults", {"target": "changenow", "method": "by-id", "kind": "hold", "count": 1, "after": True}
    )
    order, answers = box.order(), list[str]()
    caller = threading.Thread(target=lambda: answers.append(box.state(order["id"])["status"]))
    caller.start()
    until(lambda: any(held["waiting"] for held in box.get("/faults")["faults"]), "the held call")
    assert answers == []
    box.request("DELETE", f"/faults/{fault['id']}")
    caller.join()
    assert answers == ["waiting"]


def test_an_error_at_start_is_one_line_with_the_way_out(box: Sandbox, tmp_path: Path) -> None:
    def fails(*arguments: str, **environment: str) -> str:
        command = [sys.executable, "-m", "sandbox", "--home", str(tmp_path / "other"), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        last = done.stderr.strip().splitlines()
        assert len(last) == 1, done.stderr
        return last[0]

    good = str(box.config)
    assert "--port" in fails("--config", good, "--port", str(box.ready["port"]))
    assert "does not start" in fails("--config", good, SLUICE_ANVIL=str(tmp_path / "nothing"))
    assert "cannot be read" in fails("--config", str(tmp_path / "nothing.json"))
    wrong = tmp_path / "wrong.json"
    wrong.write_text(box.config.read_text().replace('"block_time": 0.1', '"block_time": -1'))
    assert "'block_time'" in fails("--config", str(wrong))
    wrong.write_text(box.config.read_text().replace('"block_time"', '"blok_time"'))
    assert "unknown key 'blok_time'" in fails("--config", str(wrong))


def _refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


_LEASHED = """
import asyncio, sys
from pathlib import Path
from sandbox.chain.anvil import Anvil, find
async def main():
    anvil = Anvil(find(Path(sys.argv[1])), Path(sys.argv[2]), chain_id=31337, leash=True)
    await anvil.start(None, 1_800_000_000)
    print(anvil.port, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_where_the_kernel_has_no_leash_a_pipe_is_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LEASHED, str(ROOT), str(tmp_path)]
    owner = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    port = int(owner.stdout.readline())
    socket.create_connection(("127.0.0.1", port)).close()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: _refused(port), "the end of anvil")


def test_the_summary_says_what_runs(box: Sandbox) -> None:
    status = box.get("/status")
    assert alive(status["chain"]["anvil_pid"])
    assert status["host_wallet"]["funded"] == str(100_000 * 10**18)
    assert int(box.rpc("eth_getBalance", HOST.address, "latest"), 16) == int(status["host_wallet"]["balance"])
