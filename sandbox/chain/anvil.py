"""The anvil process.

Owns: finding the program, starting it with a home of its own, and seeing that it never outlives us: on Linux
the kernel kills it with its parent (PR_SET_PDEATHSIG), elsewhere a shell that reads a pipe does. Leaves
alone: state, which sandbox/chain/history.py gives it as a file at start.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import IO

from sandbox.chain.node import Node
from sandbox.errors import ChainError, NoChainError

#: How long the program may take to answer its first call.
START_SECONDS = 20.0

#: Recent states kept in memory for calls at earlier blocks; receipts and blocks are all kept.
STATES_KEPT = 128

#: The platform whose package is pinned with its hash in package-lock.json.
PACKAGED = ("linux", "amd64")

_PR_SET_PDEATHSIG = 1
_NAMES = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32", "x86_64": "amd64", "aarch64": "arm64"}

#: Runs the program and kills it when the pipe on descriptor 3 closes: the leash where the kernel has none.
LEASH = '"$@" 3<&- & child=$!; { read -r _ <&3; kill -9 $child; } & reader=$!; wait $child; kill $reader'


def find(root: Path) -> Path:
    """The program: SLUICE_ANVIL, the npm package of this platform, or one on the PATH."""
    if named := os.environ.get("SLUICE_ANVIL"):
        return Path(named)
    system, machine = (_NAMES.get(name, name.lower()) for name in (platform.system(), platform.machine()))
    package = root / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if package.exists():
        return package
    if found := shutil.which("anvil"):
        return Path(found)
    if (system, machine) == PACKAGED:
        raise NoChainError("anvil is not installed: run `npm ci --ignore-scripts` at the project's root")
    raise NoChainError(
        f"package.json pins no anvil for {system}-{machine}: install Foundry's anvil 1.7 and put it on the PATH,"
        " or name it in SLUICE_ANVIL"
    )


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Anvil:
    """One running anvil; a new one is made for each start."""

    def __init__(self, program: Path, home: Path, *, chain_id: int, leash: bool = sys.platform != "linux") -> None:
        self._program = program
        self._home = home
        self._chain_id = chain_id
        self._leash = leash
        self._pipe: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self._process.pid if self._process else None

    async def start(self, state: Path | None, genesis_time: int) -> Node:
        """Start it from a state file or from nothing, and wait until it answers."""
        self._home.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._home / ".foundry", ignore_errors=True)
        self.port = free_port()
        command = [str(self._program), "--host", "127.0.0.1", "--port", str(self.port), "--no-mining", "--silent"]
        command += ["--accounts", "0", "--chain-id", str(self._chain_id), "--prune-history", str(STATES_KEPT)]
        command += ["--load-state", str(state)] if state else ["--timestamp", str(genesis_time)]
        log = (self._home / "anvil.log").open("wb")
        try:
            self._process = await self._spawn(command, log)
        except OSError as error:
            raise NoChainError(f"{self._program} does not start: {error.strerror}") from error
        finally:
            log.close()
        node = Node(f"http://127.0.0.1:{self.port}")
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if self._process.returncode is not None:
                break
            try:
                await node.call("eth_chainId")
                return node
            except (OSError, ChainError):
                await asyncio.sleep(0.01)
        await node.close()
        await self.kill()
        tail = (self._home / "anvil.log").read_text(errors="replace").strip().splitlines()[-3:]
        raise NoChainError(f"{self._program} does not answer: {' / '.join(tail) or 'it said nothing'}")

    async def _spawn(self, command: list[str], log: IO[bytes]) -> asyncio.subprocess.Process:
        environment = {"HOME": str(self._home), "PATH": os.environ.get("PATH", "")}
        if not self._leash:
            return await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip
        reader, self._pipe = os.pipe()
        try:
            shell = ("/bin/sh", "-c", f"exec 3<&{reader}; {LEASH}", "leash")
            return await asyncio.create_subprocess_exec(
                *shell, *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True, pass_fds=(reader,),
            )  # fmt: skip
        finally:
            os.close(reader)

    async def wait(self) -> int:
        """Wait for its end."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """End it at once; nothing is lost, since its state is ours to write."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._process is not None and self._process.returncode is None:
            if not self._leash:
                self._process.kill()
            await self._process.wait()
