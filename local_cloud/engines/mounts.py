"""The volumes of one instance, as mounts that only its own process sees.

Owns the private mount namespace: in-memory file systems with a secret's versions or with nothing in them, laid at their
mount paths, which need not exist on this machine. Loaded by path into a forked instance (engines/zygote.py): standard
library only, no import of ours. Leaves alone which volumes there are and what is in them (run/volumes.py).

A mount path that is not there is made in a copy of the nearest folder above it: a new in-memory folder in which all
that the real one holds is mounted again. The machine's own folders get no entry. Needs Linux and either root with
CAP_SYS_ADMIN or user namespaces.
"""

import base64
import ctypes
import os
import sys
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_UNBINDABLE, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 17, 1 << 18


class MountError(Exception):
    """The volumes cannot be mounted; the text says why and what would help."""


def enter(volumes: list[dict[str, Any]], staging: str) -> None:
    """Give the calling process its volumes; `staging` is a folder that exists, and that stays empty outside."""
    if sys.platform != "linux":
        raise MountError("volumes need mount namespaces, which only Linux has.")
    try:
        _private()
        mount("tmpfs", staging, "tmpfs", 0, "mode=0711")
        mount("none", staging, None, MS_UNBINDABLE)  # so that copies of folders never hold the staging area itself
        made = [make(volume, f"{staging}/v{index}") for index, volume in enumerate(volumes)]
        root = _make_room([path for volume in volumes for path, _ in volume["mounts"]], staging)
        for volume, folder in zip(volumes, made, strict=True):
            for path, below in volume["mounts"]:
                lay(os.path.join(folder, below), root + os.path.realpath(path), read_only=volume["read_only"])
        if root:
            os.chroot(root)
            os.chdir("/")
    except OSError as refused:
        raise MountError(f"{refused.strerror} ({refused.filename or 'mount'})") from refused


def _private() -> None:
    try:
        _call("unshare", CLONE_NEWNS)
    except PermissionError:
        user, group = os.getuid(), os.getgid()
        try:
            _call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
        except OSError as refused:
            raise MountError(
                f"this machine gives an instance no mount namespace of its own ({refused.strerror}). Run the local "
                "cloud as root with CAP_SYS_ADMIN, or allow user namespaces (sysctl user.max_user_namespaces, "
                "kernel.apparmor_restrict_unprivileged_userns=0); or take the volume out of the template."
            ) from refused
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def make(volume: dict[str, Any], folder: str) -> str:
    """A volume with its files at a folder of its own, which is returned."""
    os.mkdir(folder)
    size = f",size={volume['size']}" if volume["size"] else ""
    mount("tmpfs", folder, "tmpfs", 0, f"mode=0{'755' if volume['read_only'] else '1777'}{size}")
    for path, data, mode in volume["files"]:
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(base64.b64decode(data))
        os.chmod(full, mode)
    return folder


def _make_room(paths: list[str], staging: str) -> str:
    """See that every mount path exists; the new root below which it does, or "" for the one there is."""
    missing: dict[str, list[str]] = {}
    for path in {os.path.realpath(path) for path in paths}:
        above = path
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        if above != path:
            missing.setdefault(above, []).append(path)
    root = ""
    for number, above in enumerate(sorted(missing, reverse=True)):  # the root comes last and has all others in it
        copy = f"{staging}/m{number}"
        _copy(above, copy)
        for path in missing[above]:
            os.makedirs(copy + "/" + os.path.relpath(path, above), exist_ok=True)
        if above == "/":
            root = copy
        else:
            mount(copy, above, None, MS_BIND | MS_REC)
    return root


def _copy(folder: str, copy: str) -> None:
    """An in-memory folder with all that the real one holds mounted in it."""
    os.mkdir(copy)
    mount("tmpfs", copy, "tmpfs", 0, f"mode={os.stat(folder).st_mode & 0o7777:o}")
    for entry in os.scandir(folder):
        here = f"{copy}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), here)
            continue
        if entry.is_dir():
            os.mkdir(here)
        else:
            os.close(os.open(here, os.O_CREAT | os.O_WRONLY, 0o600))
        mount(entry.path, here, None, MS_BIND | MS_REC)


def lay(source: str, target: str, *, read_only: bool) -> None:
    """Mount a folder of a volume at its place."""
    os.makedirs(source, exist_ok=True)
    mount(source, target, None, MS_BIND)
    if read_only:
        mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2); OSError names the target."""
    encoded = [part.encode() if part else None for part in (source, target, kind, data)]
    _call("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3], path=target)


def _call(name: str, *arguments: Any, path: str | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", path)
