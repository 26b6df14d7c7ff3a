"""`python -m local_cloud`: one local cloud as a process.

Owns the ready line on stdout, signals and exit codes. Errors that the user can mend are one line on stderr and exit
code 2 (command line, ports, state, queues) or 1 (the state can no longer be written).
"""

import asyncio
import gc
import os
import signal
import sys
from typing import Any

import orjson

from local_cloud import fresh
from local_cloud.command_line import parse
from local_cloud.settings import Settings

#: Who started us, for the usage text: a command of another name that hands its arguments on.
PROG = "LOCAL_CLOUD_PROG"


async def serve(settings: Settings) -> int:
    """Runs until a signal comes or the state fails."""
    from local_cloud.running import Running
    from local_cloud.standalone import make_queues

    stopping: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(code: int) -> None:
        if not stopping.done():
            stopping.set_result(code)

    async with Running(settings) as running:
        cloud = running.cloud
        cloud.on_failure = lambda _: stop(1)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop, 0)
        queues = await make_queues(cloud)
        _tell({"ready": True, **cloud.ports, "clock": cloud.clock.url, **_said(settings), "queues": queues})
        return await stopping


def _said(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.reachable_host,
        "project": settings.project,
        "location": settings.location,
        "state": str(settings.state),
        "fresh": settings.fresh,
    }


def _tell(ready: dict[str, Any]) -> None:
    """The ready line. Whoever started us may have gone, or shut the pipe: a cloud serves all the same."""
    try:
        sys.stdout.write(orjson.dumps(ready).decode() + "\n")
        sys.stdout.flush()
    except (OSError, AttributeError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # or the flush at exit would fail once more


def main() -> None:
    """The process."""
    settings = parse(prog=os.environ.get(PROG, "python -m local_cloud"))
    import uvloop

    from local_cloud.server.doors import PortInUseError
    from local_cloud.standalone import QueueError
    from local_cloud.store import StateError

    # A hundred thousand waiting tasks are no garbage: looking through them again and again cost a sixth of a drain.
    gc.set_threshold(100_000, 20, 50)
    try:
        code = uvloop.run(serve(settings))
    except (PortInUseError, StateError, QueueError) as error:
        sys.stderr.write(f"local_cloud: {error}\n")
        code = 2
    finally:
        if settings.fresh:
            fresh.remove(settings.state)
    sys.exit(code)


if __name__ == "__main__":
    main()
