"""`sluice cloud stop` returns when the process is gone and its state is free, or says what is not."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ops import clouds
from ops.errors import OpsError
from ops.verbs import cloud

#: Shuts its doors at SIGTERM, and lives on until its standard input says so.
LINGERS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("closing", flush=True))
print("ready", flush=True)
sys.stdin.readline()
"""


def recorded(monkeypatch: pytest.MonkeyPatch, pid: int, state: Path) -> None:
    """A cloud whose doors are shut as soon as it is asked to stop."""
    record = clouds.Record(url="http://127.0.0.1:1", project="my-app", pid=pid, state=str(state), fresh=False)
    answers = iter([[record]])
    monkeypatch.setattr(clouds, "running", lambda: next(answers, []))


def test_stop_returns_when_the_process_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", LINGERS], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        recorded(monkeypatch, process.pid, tmp_path)
        monkeypatch.setattr(cloud, "STOPPED_WITHIN", 0.1)
        with pytest.raises(OpsError, match="still runs") as caught:
            cloud.stop()
        assert f"kill -9 {process.pid}" in caught.value.fix
        assert process.stdout.readline() == "closing\n"
        recorded(monkeypatch, process.pid, tmp_path)
        monkeypatch.setattr(cloud, "STOPPED_WITHIN", 60)

        def end() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()  # it was asked to stop
            process.stdin.write("end\n")
            process.stdin.flush()
            process.wait()

        ends = threading.Thread(target=end)
        ends.start()
        cloud.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)
        ends.join()
        assert process.returncode == 0
    assert "the cloud of my-app is stopped" in capsys.readouterr().out


def test_stop_says_that_the_state_is_still_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    recorded(monkeypatch, process.pid, tmp_path)
    monkeypatch.setattr(cloud, "STOPPED_WITHIN", 0.1)
    handle = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(OpsError, match="another process holds its state"):
            cloud.stop()
    finally:
        os.close(handle)
