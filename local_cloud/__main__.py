"""`python -m local_cloud`: one local cloud as a process.

Owns the command line, the ready line on stdout, signals and exit codes. Errors that the user can mend are one line on
stderr and exit code 2 (ports, state) or 1 (the state can no longer be written).
"""

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import orjson

from local_cloud.settings import Settings


def parse(arguments: list[str] | None = None) -> Settings:
    """The command line as settings."""
    parser = argparse.ArgumentParser(prog="local_cloud", description="Google Cloud on loopback, for one project.")
    parser.add_argument("--state", type=Path, required=True, help="directory that keeps everything")
    parser.add_argument("--project", default="sluice-local")
    parser.add_argument("--project-number", default="123456789012")
    parser.add_argument("--location", default="us-central1")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--rest-port", type=int, default=0, help="owner's REST door; 0 chooses a free port")
    parser.add_argument("--grpc-port", type=int, default=0, help="owner's gRPC door")
    parser.add_argument("--service-rest-port", type=int, default=0, help="REST door that asks for credentials")
    parser.add_argument("--service-grpc-port", type=int, default=0, help="gRPC door that asks for credentials")
    parser.add_argument("--iam-mode", choices=("enforce", "audit", "off"), default="enforce")
    parser.add_argument("--iam-delay", type=float, default=0.0, help="seconds until a changed policy takes effect")
    parser.add_argument("--app-engine-host", default="", metavar="URL", help="where App Engine tasks go")
    parser.add_argument("--tasks-ramp-up", type=float, default=0.0, metavar="RATE", help="at which a queue begins")
    parser.add_argument("--tasks-duplicates", type=float, default=0.0, metavar="SHARE", help="of tasks delivered twice")
    return Settings(**vars(parser.parse_args(arguments)))


async def serve(settings: Settings) -> int:
    """Runs until a signal comes or the state fails."""
    from local_cloud.running import Running

    stopping: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(code: int) -> None:
        if not stopping.done():
            stopping.set_result(code)

    async with Running(settings) as running:
        running.cloud.on_failure = lambda _: stop(1)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop, 0)
        ready = {"ready": True, **running.cloud.ports, "clock": running.cloud.clock.url}
        sys.stdout.write(orjson.dumps(ready).decode() + "\n")
        sys.stdout.flush()
        return await stopping


def main() -> None:
    """The process."""
    settings = parse()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what gRPC would say (a taken port) is said here, in one line
    import uvloop

    from local_cloud.server.doors import PortInUseError
    from local_cloud.store import StateError

    # A hundred thousand waiting tasks are no garbage: looking through them again and again cost a sixth of a drain.
    gc.set_threshold(100_000, 20, 50)
    try:
        code = uvloop.run(serve(settings))
    except (PortInUseError, StateError) as error:
        sys.stderr.write(f"local_cloud: {error}\n")
        sys.exit(2)
    sys.exit(code)


if __name__ == "__main__":
    main()
