"""`python bench/_taken.py COMMAND ...`: run a command and print as JSON what it took: CPU, time, memory at its peak.

A process by itself, and small: Linux counts what stood in memory before the command's `exec` as the command's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main(command: list[str]) -> int:
    """The command's status; what it says goes to standard error."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    taken = {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": seconds, "memory_mb": usage.ru_maxrss / 1024}
    print(json.dumps(taken))
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
