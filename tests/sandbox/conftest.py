"""A running sandbox as a process, driven from outside over HTTP only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

ROOT = Path(__file__).resolve().parents[2]
HOST: LocalAccount = Account.from_key("0x" + "11" * 32)
API_KEY = "changenow-test-key"
PATIENCE = 30.0
T = TypeVar("T")


def until(look: Callable[[], T | None], what: str) -> T:
    """Look until it is there; the deadline is for failures only."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


class Sandbox:
    """One sandbox process and its state folder."""

    def __init__(self, folder: Path, webhook_url: str = "http://127.0.0.1:9", **config: Any) -> None:
        self.folder = folder
        self.clock = folder / "clock"
        self.move_clock(0.0)
        self.config = folder / "config.json"
        self.config.write_text(json.dumps({
            "success_url_signing_key": "success", "processor_ipn_key": "ipn", "changenow_api_key": API_KEY,
            "telegram_bot_token": "1:token", "webhook_url": webhook_url, "host_wallet": HOST.address,
            "clock": self.clock.as_uri(), "block_time": 0.1, **config,
        }))  # fmt: skip
        self.process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    def move_clock(self, offset: float) -> None:
        """Set the offset in place, as the local cloud does."""
        if not self.clock.exists():
            self.clock.write_bytes(struct.pack("<d", offset))
        with self.clock.open("r+b") as file:
            file.write(struct.pack("<d", offset))

    def start(self) -> Self:
        home = self.folder / "home"
        command = [sys.executable, "-m", "sandbox", "--config", str(self.config), "--home", str(home)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the sandbox ended with {self.process.wait()}"
        self.ready = json.loads(line)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.ready['port']}{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()} | {
            "content-type": "application/json"
        }
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path: str) -> Any:
        status, body = self.request("GET", path)
        assert status == 200, body
        return body

    def exchange(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.request(method, "/changenow/v2/exchange" + path, body, x_changenow_api_key=API_KEY)

    def rpc(self, method: str, *params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        _, body = self.request("POST", self.ready["rpc"], call)
        assert "error" not in body, body
        return body["result"]

    def pay(self, to: str, wei: int, nonce: int | None = None) -> str:
        """A transfer from the host wallet, as the payer would make it."""
        if nonce is None:
            nonce = int(self.rpc("eth_getTransactionCount", HOST.address, "pending"), 16)
        signed = HOST.sign_transaction({
            "type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(to[2:]), "value": wei, "gas": 21000,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
        })  # fmt: skip
        return str(self.rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex()))

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        found: dict[str, Any] = until(lambda: self.rpc("eth_getTransactionReceipt", tx_hash), f"receipt of {tx_hash}")
        return found

    def order(self, **changes: Any) -> dict[str, Any]:
        """A fixed-rate order of 0.0475 ETH for USDT."""
        wanted = {
            "fromCurrency": "eth", "toCurrency": "usdt", "fromNetwork": "eth", "toNetwork": "eth",
            "fromAmount": "0.0475", "address": "0x" + "ab" * 20, "flow": "fixed-rate", "type": "direct",
        }  # fmt: skip
        status, body = self.exchange("POST", "", wanted | changes)
        assert status == 200, body
        return dict(body)

    def state(self, order_id: str) -> dict[str, Any]:
        status, body = self.exchange("GET", f"/by-id?id={order_id}")
        assert status == 200, body
        return dict(body)

    def reaches(self, order_id: str, *states: str) -> dict[str, Any]:
        return until(
            lambda: found if (found := self.state(order_id))["status"] in states else None, f"{order_id} in {states}"
        )


class Webhook:
    """A target for notices that answers what it is told to, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                webhook.got.append(({key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(webhook.answers.pop(0) if webhook.answers else 200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


@pytest.fixture(scope="session")
def _target() -> Iterator[Webhook]:
    target = Webhook()
    yield target
    target.close()


@pytest.fixture
def webhook(_target: Webhook) -> Webhook:
    """The target of notices, empty."""
    _target.got.clear()
    _target.answers.clear()
    return _target


def _end(box: Sandbox) -> None:
    if box.process is not None and box.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(box.process.pid, signal.SIGTERM)
        box.process.wait(PATIENCE)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Makes sandboxes of a test's own, for tests that break things or move the clock."""
    made: list[Sandbox] = []

    def build(**config: Any) -> Sandbox:
        box = Sandbox(tmp_path, **config)
        made.append(box)
        return box

    yield build
    for box in made:
        _end(box)


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory, _target: Webhook) -> Iterator[Sandbox]:
    box = Sandbox(tmp_path_factory.mktemp("sandbox"), webhook_url=_target.url).start()
    yield box
    _end(box)


@pytest.fixture
def box(_shared: Sandbox, webhook: Webhook) -> Iterator[Sandbox]:
    """A running sandbox that tests of a worker share; faults end with the test."""
    yield _shared
    _shared.request("DELETE", "/faults")
