"""A whole local stack for a test: started by the command line in a folder of its own, driven from outside.

Nothing of Sluice is imported: what a test sees here is what a user sees, the command's JSON, HTTP, the chain and SQL.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

ROOT = Path(__file__).parent.parent.parent


def copy_project(root: Path) -> None:
    """Copy the tracked files as they stand, with the environment of the original."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    for name in (".venv", "node_modules"):
        if (ROOT / name).exists():
            (root / name).symlink_to(ROOT / name)


@dataclass
class Stack:
    """One local stack; `home` is its SLUICE_HOME."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    #: The project whose command line and specs it is run by.
    root: Path = ROOT

    def sluice(self, *args: str, check: bool = True, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run the command line against this stack."""
        done = subprocess.run(
            [sys.executable, "-m", "ops", *args],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), "SLUICE_HOME": str(self.home), **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"sluice {' '.join(args)}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *args: str, timeout: float = 240) -> Any:
        """The value that a verb prints with --json."""
        return json.loads(self.sluice(*args, "--json", timeout=timeout).stdout)

    def up(self, *args: str) -> Any:
        return self.json("up", "--no-pay", *args)

    def down(self) -> None:
        self.sluice("down")

    def status(self) -> Any:
        return self.json("status")

    @property
    def ports(self) -> dict[str, int]:
        ports: dict[str, int] = json.loads((self.home / "stack.json").read_text())["ports"]
        return ports

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.ports['rest']}"

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.ports['sandbox']}"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.ports['postgres']}/payments"

    @property
    def chain(self) -> str:
        """The chain's JSON-RPC, by the key that the services have."""
        url: str = self.record["children"]["sandbox"]["said"]["rpc"]
        return url

    @property
    def record(self) -> dict[str, Any]:
        """What the supervisor says of its processes."""
        record: dict[str, Any] = json.loads((self.home / "supervisor.json").read_text())
        return record

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all that came from it."""
        root = psutil.Process(self.record["pid"])
        return [root, *root.children(recursive=True)]

    def sql(self, query: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of the stack's database."""

        async def fetch() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.dsn)
            try:
                return [dict(row) for row in await connection.fetch(query, *args)]
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def paid(self, payments: list[str], timeout: float = 90) -> None:
        """Wait until each of these payments is paid and posted."""
        wanted = "SELECT unique_id FROM split_payout_hostpay WHERE status = 'completed' AND unique_id = ANY($1)"
        until(lambda: len(self.sql(wanted, payments)) == len(payments), timeout, lambda: self.missing(payments))

    def exchanged(self, timeout: float = 60) -> None:
        """Wait until the exchange has paid out whatever was paid in to it."""
        under_way = {"confirming", "exchanging", "sending"}

        def orders() -> set[str]:
            return set(http("GET", f"{self.sandbox}/status")[1]["exchange"]["orders"])

        until(lambda: not orders() & under_way, timeout, lambda: f"orders are {orders()}")

    def missing(self, payments: list[str]) -> str:
        """Where those payments stand that are not paid."""
        query = "SELECT unique_id, status FROM split_payout_hostpay WHERE unique_id = ANY($1)"
        stands = {row["unique_id"]: row["status"] for row in self.sql(query, payments)}
        return str(
            {payment: stands.get(payment, "no payout") for payment in payments if stands.get(payment) != "completed"}
        )

    def admin(self, method: str, path: str, body: Any = None, timeout: float = 120) -> Any:
        """A call to the local cloud's own surface, /_sluice/..."""
        return http(method, f"{self.rest}/_sluice/{path}", body, timeout=timeout)[1]

    def advance(self, seconds: float) -> Any:
        """Move the clock, attempt by attempt."""
        return self.admin("POST", "clock:advance", {"seconds": seconds, "wait": 30})

    def idle(self, timeout: float = 60) -> Any:
        """Wait until nothing is due and nothing is in flight."""
        return self.admin("POST", "idle", {"timeout": timeout}, timeout=timeout + 10)

    def send(self, **body: Any) -> list[dict[str, Any]]:
        """Let the payment processor send notices; the payments."""
        answer = http("POST", f"{self.sandbox}/processor/payments", {"currency": "eth", **body}, timeout=300)[1]
        payments: list[dict[str, Any]] = answer["payments"]
        return payments

    def faults(self, **fault: Any) -> None:
        http("POST", f"{self.sandbox}/faults", fault)

    def heal(self, *, but: str = "") -> None:
        """Nobody outside is broken any more; or all are well but what a fault of this method meets."""
        if not but:
            http("DELETE", f"{self.sandbox}/faults")
            return
        for fault in http("GET", f"{self.sandbox}/faults")[1]["faults"]:
            if fault["method"] != but:
                http("DELETE", f"{self.sandbox}/faults/{fault['id']}")

    def instances(self, service: str) -> list[int]:
        """The process ids of a service's running instances."""
        status = self.admin("GET", "status")
        return [instance["pid"] for instance in status["services"][service]["instances"]]


@contextmanager
def deployed() -> Iterator[Stack]:
    """A deployed stack, stopped and gone afterwards.

    Its home stands outside of pytest's own folder, which every pytest run closes to other users again: Postgres, which
    refuses to run as root, could not enter its data there.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        one = Stack(Path(folder) / "home")
        try:
            one.up()
            yield one
        finally:
            one.sluice("down", check=False)


@contextmanager
def broken(stack: Stack, **fault: Any) -> Iterator[None]:
    """Somebody outside is broken in the block; after it nobody is."""
    stack.faults(**fault)
    try:
        yield
    finally:
        stack.heal()


def until(done: Callable[[], bool], timeout: float, what: Callable[[], str] = lambda: "it") -> None:
    """Wait until something outside of this process is so; fails with `what` after the time."""
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, f"after {timeout} s: {what()}"
        threading.Event().wait(0.05)


def http(
    method: str, url: str, body: Any = None, *, headers: dict[str, str] | None = None, timeout: float = 30
) -> tuple[int, Any]:
    """Status and JSON (or text) of a call; an error answer is an answer."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, decode(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, decode(error.read())


def decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
