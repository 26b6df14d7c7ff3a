"""A forked process becomes what a container is: a root folder, processes and mounts of its own, and the image's user.

Owns the namespaces (mounts and processes; the network is the machine's, so that the cloud's doors on loopback are
there), the root file system (the image's, read-only, under an in-memory layer that goes with the instance), /dev, /proc
and the few files of /etc, and what is left to root inside. Loaded by path into a forked instance (engines/zygote.py):
standard library only, no import of ours; mounts.py, which lies beside it, is handed in.
Sources: the OCI runtime specification (config-linux.md), Docker's default capabilities and masked paths,
https://cloud.google.com/run/docs/container-contract.

The process that was forked stays outside as the waiter: it takes the group's signals, ends when the container's first
process does and says how. With CAP_SYS_ADMIN no user namespace is used, so that all users of the image are there;
without it the image's user is mapped to the one who runs the local cloud.
"""

import contextlib
import ctypes
import os
import platform
import shutil
import signal
import sys
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER = 0x0002_0000, 0x2000_0000, 0x1000_0000
MNT_DETACH = 2
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
#: What root has inside: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw,
#: sys_chroot, audit_write and setfcap.
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
LAST_CAPABILITY = 63
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
#: Of the machine's, as it has them now.
SHARED_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")
#: What root inside could reach the machine by, where there is no user namespace between.
READ_ONLY = ("proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "proc/fs")
MASKED = ("proc/kcore", "proc/keys", "proc/timer_list", "proc/kmsg")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ContainerError(Exception):
    """The container cannot be made here; the text says why and what would help."""


def enter(mounts: Any, message: dict[str, Any]) -> "Inside":
    """Returns in the container's first process, with everything mounted; the caller itself stays outside and waits."""
    image = message["contained"]
    user = _User(image["rootfs"], image["user"])
    mapped = _unshare(user)
    first = os.fork()
    if first:
        _wait(first)
    try:
        _root(mounts, image["rootfs"], message["staging"], mapped=mapped)
        _volumes(mounts, message["volumes"])
        workdir = message["workdir"] or image["workdir"]
        os.makedirs(workdir, exist_ok=True)
        os.chdir(workdir)
    except OSError as refused:
        raise ContainerError(f"{refused.strerror} ({refused.filename or 'mount'})") from refused
    return Inside(message, user)


class _User:
    """Who the image's processes run as: numbers for what its configuration names."""

    def __init__(self, rootfs: str, said: str) -> None:
        name, _, group = said.partition(":")
        users, groups = _table(f"{rootfs}/etc/passwd"), _table(f"{rootfs}/etc/group")
        entry = next((u for u in users if len(u) > 5 and name in (u[0], u[2])), None)
        if name and entry is None and not name.isdecimal():
            raise ContainerError(f"the image's user {name!r} is not in its /etc/passwd")
        self.name = entry[0] if entry else name
        self.uid = int(entry[2]) if entry else int(name or 0)
        self.home = (entry[5] if entry else "") or "/"
        in_group = next((g for g in groups if len(g) > 2 and group in (g[0], g[2])), None)
        if group and in_group is None and not group.isdecimal():
            raise ContainerError(f"the image's group {group!r} is not in its /etc/group")
        primary = int(entry[3]) if entry else 0
        self.gid = int(in_group[2]) if in_group else int(group) if group else primary
        self.groups = [int(g[2]) for g in groups if len(g) > 3 and entry and self.name in g[3].split(",")]


def _table(path: str) -> list[list[str]]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return []
    with os.fdopen(handle, encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n").split(":") for line in file]


def _unshare(user: _User) -> bool:
    """New namespaces; whether there is a user namespace between the image's root and the machine's."""
    if sys.platform != "linux":
        raise ContainerError("a pushed image needs Linux to run: register its folder instead (sluice image add).")
    try:
        _call("unshare", CLONE_NEWNS | CLONE_NEWPID)
        return False
    except OSError:
        uid, gid = os.getuid(), os.getgid()
    try:
        _call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)
    except OSError as refused:
        raise ContainerError(
            f"this machine gives an instance no namespaces of its own ({refused.strerror}), so a pushed image cannot "
            "run. Run the local cloud as root with CAP_SYS_ADMIN, or allow user namespaces (sysctl "
            "user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0); or register the image's folder "
            "(sluice image add)."
        ) from refused
    maps = (("setgroups", "deny"), ("uid_map", f"{user.uid} {uid} 1"), ("gid_map", f"{user.gid} {gid} 1"))
    for name, text in maps:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return True


def _wait(first: int) -> NoReturn:
    """Stand for the container outside: whoever signals the group reaches both, and this one goes last."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    os.closerange(0, 4096)
    while True:
        with contextlib.suppress(InterruptedError):
            code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
            break
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def _root(mounts: Any, rootfs: str, staging: str, *, mapped: bool) -> None:
    """The image under an in-memory layer of this instance's own, as the root of all that it sees."""
    mounts.mount("none", "/", None, mounts.MS_REC | mounts.MS_PRIVATE)
    lower = os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY)
    mounts.mount("tmpfs", staging, "tmpfs", 0, "mode=0755")
    os.chdir(staging)
    for name in ("lower", "upper", "work", "root"):
        os.mkdir(name)
    os.chmod("upper", os.fstat(lower).st_mode & 0o7777)
    mounts.mount(rootfs, "lower", None, mounts.MS_BIND)
    try:
        mounts.mount("overlay", "root", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work")
    except OSError:
        try:
            mounts.mount("overlay", "root", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr")
        except OSError:  # no overlays here: the instance gets a copy
            shutil.copytree("lower", "root", symlinks=True, dirs_exist_ok=True)
            mounts.mount("root", "root", None, mounts.MS_BIND)
    os.close(lower)
    shared = {}
    for path in SHARED_FILES:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            shared[path] = file.read()
    devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES if os.path.exists(f"/dev/{name}")}
    _tree(mounts, devices)
    _processes(mounts, mapped=mapped)
    _pivot()
    for path, data in shared.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path, "wb") as file:
            file.write(data)


def _tree(mounts: Any, devices: dict[str, int]) -> None:
    """/dev of its own, with the harmless devices of the machine."""
    os.chdir("root")
    for name in ("dev", "proc", "sys", "tmp", "etc"):
        if os.path.islink(name) or not os.path.isdir(name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            os.mkdir(name)
            os.chmod(name, 0o1777 if name == "tmp" else 0o755)
    mounts.mount("tmpfs", "dev", "tmpfs", 0, "mode=0755")
    for name, handle in devices.items():
        os.close(os.open(f"dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        mounts.mount(f"/proc/self/fd/{handle}", f"dev/{name}", None, mounts.MS_BIND)
        os.close(handle)
    for name, target in LINKS.items():
        os.symlink(target, f"dev/{name}")
    os.mkdir("dev/shm")
    mounts.mount("tmpfs", "dev/shm", "tmpfs", 0, "mode=01777")


def _pivot() -> None:
    """Make the working directory the root, with no way back."""
    number = PIVOT_ROOT.get(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    if number is not None and libc.syscall(ctypes.c_long(number), b".", b".") == 0:
        libc.umount2(b".", MNT_DETACH)
    else:
        os.chroot(".")
    os.chdir("/")


def _processes(mounts: Any, *, mapped: bool) -> None:
    """/proc of its own processes; without a user namespace, what root could change the machine by is closed.

    While the machine's own is still in sight: the kernel gives a user namespace no /proc that shows more than that.
    """
    try:
        mounts.mount("proc", "proc", "proc", 0)
    except OSError:
        if not mapped:
            raise
        return  # a machine that hides parts of its own /proc gives none to others: it stays empty
    if mapped:
        return
    for path in READ_ONLY:
        if os.path.exists(path):
            mounts.mount(path, path, None, mounts.MS_BIND)
            mounts.mount("none", path, None, mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY)
    for path in MASKED:
        if os.path.exists(path):
            mounts.mount("dev/null", path, None, mounts.MS_BIND)


def _volumes(mounts: Any, volumes: list[dict[str, Any]]) -> None:
    """The template's volumes at their paths, made apart first so that one may be laid in several places."""
    if not volumes:
        return
    apart = "/dev/.volumes"
    os.mkdir(apart)
    for index, volume in enumerate(volumes):
        folder = mounts.make(volume, f"{apart}/{index}")
        for path, below in volume["mounts"]:
            os.makedirs(path, exist_ok=True)
            mounts.lay(os.path.join(folder, below), path, read_only=volume["read_only"])
        ctypes.CDLL(None).umount2(folder.encode(), MNT_DETACH)
        os.rmdir(folder)
    os.rmdir(apart)


class Inside:
    """What is left to do when the process is in its container: its environment, its rights, its command."""

    def __init__(self, message: dict[str, Any], user: _User) -> None:
        self._message, self._user = message, user

    def run(self) -> NoReturn:
        """Become the command of the template, or else the image's."""
        image, message = self._message["contained"], self._message
        env = {"PATH": PATH, "HOME": self._user.home}
        env |= dict(pair.split("=", 1) for pair in image["env"]) | message["env"]
        command = message["command"] or image["entrypoint"]
        args = message["args"] or ([] if message["command"] else image["cmd"])
        words = [*command, *args]
        if not words:
            sys.exit("The image has neither an entry point nor a command, and the template gives none.")
        self._give_up_rights()
        os.environ.clear()
        os.environ.update(env)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            os.execvp(words[0], words)
        except OSError as refused:
            sys.exit(f"{words[0]}: {refused.strerror}")

    def _give_up_rights(self) -> None:
        libc = ctypes.CDLL(None)
        for number in range(LAST_CAPABILITY + 1):
            if number not in CAPABILITIES:
                libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
        with contextlib.suppress(PermissionError):  # a user namespace with one user has no groups to give
            os.setgroups([self._user.gid, *self._user.groups])
        os.setgid(self._user.gid)
        os.setuid(self._user.uid)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # the change of user has undone it


def _call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
