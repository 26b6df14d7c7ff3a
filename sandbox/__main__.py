"""`python -m sandbox`: the outside world as one process.

Owns: the command's arguments, signals, the ready line on stdout and one-line errors. Leaves alone: the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

import uvloop

from sandbox import config
from sandbox.errors import SandboxError
from sandbox.world import World

#: The folder in which `npm ci` puts the chain's program.
ROOT = Path(__file__).resolve().parent.parent


def _folder(value: str) -> Path:
    return Path(value).absolute()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Chain, exchange, processor and chat.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see sandbox/config.py")
    parser.add_argument("--port", type=int, default=0, help="port of the APIs; 0 takes a free one")
    parser.add_argument("--rpc-port", type=int, default=0, help="port of the chain's door; 0 takes a free one")
    parser.add_argument("--home", type=_folder, required=True, help="folder of the state")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    world = World(config.load(options.config), options.home, ROOT)
    try:
        ready = await world.start(options.port, options.rpc_port)
        print(json.dumps(ready), flush=True)
        await stopped.wait()
    finally:
        await world.stop()


def main() -> int:
    """Run until SIGTERM; an error at start is one line."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    options = _arguments()
    try:
        uvloop.run(_run(options))
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
