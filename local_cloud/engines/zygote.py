"""The process that instances are forked from: one per image digest, with the image's heavy imports done.

Owns the life of its children and nothing else: it decides neither when an instance starts nor why it stops
(engines/revisions.py does). It is started as a script by path, with the image's root as PYTHONPATH, so that the
image sees its own code and never the local cloud's: standard library only, and no import of ours.

Wire, on one stream socket that is the process's standard input: a request is a 4-byte length and a JSON object,
with the descriptors of the child's stdout and stderr beside a `fork`; an answer is one JSON line. The socket's end
is the order to end: whoever holds the other side may be killed -9 and nothing stays behind. Where the kernel has
PR_SET_PDEATHSIG, each child also dies with the zygote, and the zygote with the cloud.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import random
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

#: prctl(2) option 1: the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1
#: What a container has in any case; everything else an instance sees was declared.
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")
#: Signals that a fresh container has at their defaults.
RESET_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1)
#: Signals that the zygote ignores. A child holds them back until they are at their defaults, so that none is lost.
HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when `parent` ends, where it can; leave at once if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def set_title(title: str) -> None:
    """Name the process for `ps`, if setproctitle is there."""
    with contextlib.suppress(ImportError):
        importlib.import_module("setproctitle").setproctitle(title)


class Zygote:
    """Preloads, then forks on request and reports who started and who ended."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.children: dict[int, str] = {}
        self.inbox = bytearray()
        self.descriptors: list[int] = []

    def run(self) -> None:
        """Serve until the other side closes; then end every child."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # Ended by the closing of the socket, not by a signal meant for the terminal's whole group.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            readable, _, _ = select.select([self.control.fileno(), wake_read], [], [])
            if wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                self._reap()
            if self.control.fileno() in readable and not self._receive():
                break
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self.control, 1 << 20, 64)
        self.descriptors.extend(descriptors)
        if not data:
            return False
        self.inbox += data
        while len(self.inbox) >= 4:
            (size,) = struct.unpack_from("!I", self.inbox)
            if len(self.inbox) < 4 + size:
                break
            message = json.loads(bytes(self.inbox[4 : 4 + size]))
            del self.inbox[: 4 + size]
            self._handle(message)
        return True

    def _handle(self, message: dict[str, Any]) -> None:
        if message["op"] == "preload":
            failed = preload(message["modules"])
            set_title(message["title"])
            gc.collect()
            gc.freeze()
            self._answer(event="ready", failed=failed, threads=threading.active_count(), pid=os.getpid())
        elif message["op"] == "fork":
            self._fork(message)

    def _fork(self, message: dict[str, Any]) -> None:
        out, err = self.descriptors[:2]
        del self.descriptors[:2]
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
        try:
            pid = os.fork()
        except OSError as refused:
            self._answer(event="exited", id=message["id"], pid=0, status=-1, why=str(refused))
            return
        finally:
            if os.getpid() == parent:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
                os.close(out)
                os.close(err)
        if pid == 0:
            inside = self._prepare(message)
            become_instance(message, 0 if inside else parent, out, err, inside)
        with contextlib.suppress(OSError):  # the child does it too; whoever is first, it can be signalled from now on
            os.setpgid(pid, pid)
        self.children[pid] = message["id"]
        self._answer(event="started", id=message["id"], pid=pid)

    def _prepare(self, message: dict[str, Any]) -> Any:
        """In the child: its volumes and its working directory, while there is still somebody to tell what is wrong.

        For an image that was pushed, its container, which is returned; what goes on from here is the process in it.
        """
        try:
            os.setpgid(0, 0)
            if message["contained"]:
                return neighbour("container").enter(neighbour("mounts"), message)
            if message["volumes"]:
                neighbour("mounts").enter(message["volumes"], message["staging"])
            os.chdir(os.path.join(message["root"], message["workdir"]))
        except Exception as wrong:
            self._answer(event="broken", id=message["id"], why=str(wrong))
            os._exit(1)
        return None

    def _reap(self) -> None:
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.children:
                code = os.waitstatus_to_exitcode(status)
                self._answer(event="exited", id=self.children.pop(pid), pid=pid, status=code, why="")

    def _answer(self, **event: Any) -> None:
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(event).encode() + b"\n")


def preload(modules: list[str]) -> list[str]:
    """Import what every instance will need; one that cannot be imported is the instance's own error later."""
    failed = []
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            failed.append(f"{module}: {type(error).__name__}: {error}")
    return failed


def become_instance(message: dict[str, Any], parent: int, out: int, err: int, inside: Any = None) -> NoReturn:
    """In the child: leave no trace of the zygote, then run the image's entry point, or what a container runs."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in RESET_SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as the interpreter starts with
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        die_with_parent(parent)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, 4096)
        kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        os.environ.clear()
        os.environ.update(kept | message["env"])
        time.tzset()
        random.seed()
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        if inside is not None:
            inside.run()
        set_title(message["title"])
        if message["command"]:
            run_command([*message["command"], *message["args"]])
        sys.argv = [message["entry"], *message["args"]]
        run_entry(message["entry"])
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        if isinstance(leaving.code, str):
            sys.stderr.write(leaving.code + "\n")
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status & 0xFF)


def run_entry(entry: str) -> None:
    """Run `package.module:function`, or `package.module` as `python -m` would."""
    module, _, attribute = entry.partition(":")
    if attribute:
        getattr(importlib.import_module(module), attribute)()
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def run_command(command: list[str]) -> NoReturn:
    """Become a command of the template's own, which takes the place of the image's entry point."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    program = sys.executable if command[0] in ("python", "python3") else command[0]  # the image's Python is this one
    try:
        os.execvp(program, [program, *command[1:]])  # by its whole name it also finds the packages that lie beside it
    except OSError as refused:
        sys.exit(f"{command[0]}: {refused.strerror}")


def neighbour(name: str) -> Any:
    """A module that lies beside this one, which is no package's to the image's code."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_zygote_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Take over the control socket that came as standard input, and serve."""
    die_with_parent(int(sys.argv[1]))
    os.closerange(3, 4096)
    os.chdir(sys.argv[2])
    Zygote(socket.socket(fileno=0)).run()


if __name__ == "__main__":
    main()
