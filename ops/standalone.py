"""One local cloud in the foreground: its process, its signals, and what it says, in words for people.

The process is `python -m local_cloud`, which ends when this one does, however that ends. Its own log (JSON lines) is
shown as lines; with `as_json` both are passed on as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ops.errors import BadUsage, OpsError

if TYPE_CHECKING:
    from ops.clouds import Record

#: Where the rooms are.
ROOT = Path(__file__).resolve().parent.parent

#: The port where people look for an emulator of Cloud Tasks.
DEFAULT_PORT = 8123

#: The name under which the process speaks of itself.
NAME = "./sluice cloud start"

HELP = f"""
Without --port it listens on {DEFAULT_PORT}. With --json it says where it is, and what happens, as JSON lines.
"""

#: The ready message names so many queues.
SHOWN = 20

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(arguments: Sequence[str], *, as_json: bool) -> int:
    """Start it, say where it is, wait for its end; the exit status."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local_cloud", f"--port={DEFAULT_PORT}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": _path(), "LOCAL_CLOUD_PROG": NAME},
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no thread runs yet
    )
    asked = _pass_on_signals(process)
    said = _Said(process, as_json=as_json)
    from ops import clouds  # while the process starts: it is the one that people wait for

    record: Path | None = None
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        was_ready = line.startswith('{"ready"')
        if was_ready:
            ready = json.loads(line)
            record = clouds.keep(_record(process.pid, ready))
            _print(line.rstrip() if as_json else welcome(ready))
        else:
            _print("".join([line, process.stdout.read(), HELP if line else ""]).rstrip())
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        said.join()
        if record is not None:
            record.unlink(missing_ok=True)
    return _ended(code, said, was_ready=was_ready, asked=asked, as_json=as_json)


def welcome(ready: dict[str, Any]) -> str:
    """Where things are, and what to do next."""
    url = _url(ready)
    queues = [name.rpartition("/")[2] for name in (*ready["queues"]["made"], *ready["queues"]["kept"])]
    more = f" and {len(queues) - SHOWN} more" if len(queues) > SHOWN else ""
    state = "fresh, gone when it stops (--state DIR keeps it)" if ready["fresh"] else f"kept in {ready['state']}"
    return "\n".join(
        [
            f"The local cloud runs at {url}, REST and gRPC.",
            f"  project  {ready['project']}, {ready['location']}",
            f"  state    {state}",
            f"  queues   {', '.join(queues[:SHOWN]) + more or 'none yet (--queue NAME makes one)'}",
            "",
            "In another terminal:",
            f'  eval "$(./sluice env --cloud {url})"   points gcloud, Terraform, Pulumi and clients here',
            f"  ./sluice clock advance 1h --cloud {url}   moves retries and schedules on",
            "",
            "Ctrl-C stops it.",
        ]
    )


class _Said:
    """What the process writes to its log: kept until it is ready, since it may be why it is not; then shown."""

    def __init__(self, process: subprocess.Popen[str], *, as_json: bool) -> None:
        self.plain: list[str] = []
        self._as_json = as_json
        assert process.stderr is not None
        self._thread = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the last line."""
        self._thread.join(5)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            if line.startswith("{"):
                _print(line.rstrip() if self._as_json else shown(line), file=sys.stderr)
            else:
                self.plain.append(line.rstrip())


def shown(line: str) -> str:
    """One event of the cloud's log as a line for people, with the command that would mend it."""
    try:
        event = json.loads(line)
    except ValueError:
        return line.rstrip()
    text = f"{event.get('severity', 'DEFAULT').lower()}: {event.get('message', '')}"
    trace = event.get("trace", "")
    return f"{text}\n{trace.rstrip()}" if trace else text


def _ended(code: int, said: _Said, *, was_ready: bool, asked: list[int], as_json: bool) -> int:
    """What the end of the process means."""
    text = "\n".join(line.removeprefix("local_cloud: ").removeprefix(f"{NAME}: ") for line in said.plain)
    if asked:
        if not as_json:
            _print("stopped" if code >= 0 else "ended at once; what it had answered is in its state", file=sys.stderr)
        return 0 if code >= 0 else 130
    if code == 2 and not was_ready:
        raise BadUsage(text, fix=_fix(text))
    if code < 0:
        raise OpsError(f"the local cloud was ended by {signal.Signals(-code).name}", fix="start it again")
    if code:
        raise OpsError(text or f"the local cloud ended with status {code}")
    return 0


def _fix(text: str) -> str:
    """Where a cloud of ours has the port, the command that stops it."""
    from ops import clouds

    for record in clouds.running():
        if text.startswith(f"Port {record.url.rpartition(':')[2]} is in use"):
            return f"./sluice cloud stop --cloud {record.url} stops the local cloud of {record.project} there"
    return ""


def _record(pid: int, ready: dict[str, Any]) -> Record:
    from ops.clouds import Record

    state = str(Path(ready["state"]).resolve())
    return Record(url=_url(ready), project=ready["project"], pid=pid, state=state, fresh=ready["fresh"])


def _url(ready: dict[str, Any]) -> str:
    return f"http://{ready['host']}:{ready['rest']}"


def _pass_on_signals(process: subprocess.Popen[str]) -> list[int]:
    """Ctrl-C and its kin ask the process to stop; the second one ends it. Gives the signals that came."""
    came: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        came.append(number)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM if len(came) == 1 else signal.SIGKILL)

    for number in SIGNALS:
        signal.signal(number, pass_on)
    return came


def _print(text: str, file: IO[str] | None = None) -> None:
    """Print; whoever reads may have gone, which is no reason to stop serving."""
    stream = file or sys.stdout
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if text:
            stream.write(text + "\n")
            stream.flush()


def _path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def _die_with_parent() -> None:
    """In the new process: end when this one does, however it ends (prctl(2), Linux)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
