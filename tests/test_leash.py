"""That a test process which is killed leaves nothing behind, though what it started would go on by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

#: A test process that starts something in a session of its own, and a server, which is a daemon.
STARTS = """
import subprocess, sys
from tests import leash
from tests.service_code.servers import postgres_server
held = leash.hold()
left = subprocess.Popen(["sleep", "600"], start_new_session=True)
with postgres_server() as url:
    folder = url.partition("host=")[2]
    print(left.pid, open(f"{folder}/postmaster.pid").readline().strip(), flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_test_process_started_ends_with_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    left = [psutil.Process(int(number)) for number in process.stdout.readline().split()]
    assert len(left) == 2
    process.kill()
    process.communicate()
    assert psutil.wait_procs(left, timeout=60)[1] == []
