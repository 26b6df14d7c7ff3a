"""Ends what a test process started and left behind, however that process ended: Ctrl-C of a parallel run, kill -9.

A worker that is interrupted has ten seconds for its fixtures, and pytest-xdist then kills it: stacks, servers and
chains that it shared among its tests would go on for ever. So each process that runs tests has a companion in a session
of its own, which reads a pipe until that process is gone, and then ends every process that has inherited its mark
(Linux, by /proc). What is started with an environment of its own must die with its parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARK = "SLUICE_TESTS_OF"


def hold() -> subprocess.Popen[bytes]:
    """Mark this process and what it will start; its end is the end of them."""
    mark = uuid.uuid4().hex
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    os.environ[MARK] = mark
    command = [sys.executable, "-S", __file__, mark]
    return subprocess.Popen(command, env=unmarked, stdin=subprocess.PIPE, start_new_session=True)


def marked(mark: str) -> list[int]:
    """The processes whose environment bears the mark, but for this one."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it is gone, or somebody else's
        if wanted in environment and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def end(mark: str, patience: float = 10) -> None:
    """Ask all to end, then make those end that have not."""
    how, until = signal.SIGTERM, time.monotonic() + patience
    asked: set[int] = set()
    while found := marked(mark):
        if time.monotonic() > until:
            how, asked = signal.SIGKILL, set()
        for process in set(found) - asked:
            try:
                os.kill(process, how)
            except ProcessLookupError:
                continue
        asked |= set(found)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end(sys.argv[1])
