"""The daemon: `python -m ops.supervisor` keeps the processes of SLUICE_HOME running until SIGTERM.

Owns `supervisor.json` (who runs, since when, ready or not) and `supervisor.lock`, which it holds as long as it
lives and which has its pid: the lock, not a pid, is how others see that it runs. A supervisor whose home is deleted
under it stops everything, since nobody could find it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time
from typing import TextIO

from ops.errors import OpsError
from ops.home import Home, code_of
from ops.supervisor import LOCK, ROOMS, specs
from ops.supervisor.child import Child

#: Seconds between two looks at whether the home is still there.
LOOK_EVERY = 1.0


def main() -> int:
    """Run until SIGTERM or SIGINT; 3 when another supervisor has this home."""
    home = Home.find()
    home.prepare()
    lock = (home.path / LOCK).open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 3
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    try:
        asyncio.run(_supervise(home, lock))
    except OpsError as error:
        home.write("supervisor.json", {"pid": os.getpid(), "failed": str(error), "children": {}})
        print(error, file=sys.stderr)
        return 1
    return 0


async def _supervise(home: Home, lock: TextIO) -> None:
    started, code = time.time(), code_of(*ROOMS)
    children: list[Child] = []

    def write() -> None:
        if not _is_at_home(home, lock):
            return
        record = {child.spec.name: child.record() for child in children}
        home.write("supervisor.json", {"pid": os.getpid(), "started": started, "code": code, "children": record})

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    children.extend(Child(spec, write) for spec in specs.all_of(home, home.choose_ports()))
    write()
    tasks = [asyncio.create_task(child.run()) for child in children]
    while not stop.is_set() and _is_at_home(home, lock):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY)
    for child in reversed(children):
        await child.stop()
    await asyncio.gather(*tasks)
    if not _is_at_home(home, lock):
        return  # a new home may stand at the same place
    (home.path / "supervisor.json").unlink(missing_ok=True)
    lock.close()


def _is_at_home(home: Home, lock: TextIO) -> bool:
    """Whether the lock file at its place is still the one that we hold."""
    try:
        return os.path.samestat(os.stat(home.path / LOCK), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
