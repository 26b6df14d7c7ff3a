"""`sluice cloud`: the local cloud by itself, for anyone's project; no stack, no payments, no database.

`start` runs it in the foreground, as other emulators do, and leaves its options to the process that it starts
(local_cloud/settings.py has them). `status` and `stop` find it by its record (ops/clouds.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import clouds
from ops.cloud import Cloud
from ops.clouds import Record, WhichCloud
from ops.errors import OpsError
from ops.output import Output, depth

#: Seconds that a cloud gets to stop: open requests may end.
STOPPED_WITHIN = 30.0


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The local cloud by itself, for any project.", no_args_is_help=True, rich_markup_mode=None)
    group.command("start", help="Start one in the foreground; Ctrl-C stops it.")(start)
    group.command("status", help="Show the clouds that run by themselves, with their queues.")(status)
    group.command("stop", help="Stop the one that is meant.")(stop)
    app.add_typer(group, name="cloud")


def start() -> None:
    """Run a cloud until Ctrl-C. The command line hands this one to ops/standalone.py before it looks at options."""
    from ops import standalone

    raise SystemExit(standalone.run([], as_json=False))


def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False) -> None:
    """List what runs."""
    out = Output(as_json=as_json)
    found: list[dict[str, Any]] = []
    for record in clouds.running():
        told = Cloud(record.url).status()
        kept = "fresh" if record.fresh else record.state
        lag = told["metrics"]["lag"]
        found.append({**vars(record), "location": told["location"], "queues": told["queues"], "metric_lag": lag})
        out.plain(f"{record.url}  project {record.project} ({told['location']}), pid {record.pid}, state {kept}")
        if lag:
            out.plain(f"  metrics are seen {lag:g} s late")
        for name, queue in sorted(told["queues"].items()):
            out.plain(f"  {name}  {queue['state'].lower()}, {depth(queue)}")
    if not found:
        out.say("no local cloud runs by itself; ./sluice cloud start starts one")
    out.result(found)


def stop(
    *,
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Stop one; its state stays where it was to be kept."""
    out = Output(as_json=as_json)
    running = clouds.running()
    wanted = which.rstrip("/").removeprefix("http://")
    meant = [record for record in running if not which or record.url == f"http://{wanted}"]
    if len(meant) != 1:
        raise OpsError(
            f"{len(meant)} local clouds run by themselves" + (f" at {which}" if which else ""),
            why="`stop` stops one of them",
            fix=f"name it: --cloud {running[0].url}" if running else "there is nothing to stop",
        )
    with contextlib.suppress(ProcessLookupError):
        os.kill(meant[0].pid, signal.SIGTERM)
    _wait_for_end(meant[0])
    out.step(f"the cloud of {meant[0].project} is stopped", meant[0].url)
    out.result({"stopped": vars(meant[0])})


def _wait_for_end(record: Record) -> None:
    """Returns when the process is gone and its state free for the next one. Its doors close long before."""
    deadline = time.monotonic() + STOPPED_WITHIN
    while (alive := _alive(record.pid)) or _held(record.state):
        if time.monotonic() > deadline:
            what = f"the cloud with pid {record.pid}"
            raise OpsError(
                f"{what} was asked to stop, and still runs {STOPPED_WITHIN:g} s later"
                if alive
                else f"{what} is gone, but another process holds its state {record.state}",
                why="a call or an attempt may still be under way",
                fix=f"wait for it, or kill -9 {record.pid}" if alive else f"see who has {record.state}/lock open",
            )
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _held(state: str) -> bool:
    """Whether somebody has the state's lock."""
    try:
        handle = os.open(Path(state) / "lock", os.O_RDWR)
    except OSError:  # a fresh state is gone with its cloud
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
