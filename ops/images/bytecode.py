"""Compiled modules, so that an instance does not compile a second long at each cold start.

Owns running the image's own interpreter on its own files, outside of any container: by its own loader and libraries,
so that every machine gets the same bytes. A module is compiled with its digest and never checked at run time (an image
does not change), so no time is in it. Needs Linux on amd64; elsewhere an image is built without, and says so.
Sources: PEP 552, importlib's documentation, ld.so(8).
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ops.errors import OpsError
from ops.images.tree import Entry, Tree

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
#: Where interpreters lie: Debian's, and the one of images that build their own.
INTERPRETERS = ("usr/bin/python3.11", "usr/local/bin/python3.11")
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/local/lib")
#: Given the root and a list of paths: compiles each to its place beside it. What does not compile is no module of ours:
#: packages carry templates, and code for other versions.
COMPILE = """\
import importlib.util, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
root, *rest = sys.stdin.read().splitlines()
for path in rest:
    try:
        made = importlib.util.cache_from_source(root + path, optimization="")
        py_compile.compile(root + path, made, path, True, invalidation_mode=mode)
    except (py_compile.PyCompileError, ValueError):
        pass
"""


def possible() -> bool:
    """Whether the image's programs run on this machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def compiled(base: Tree, tree: Tree) -> dict[str, Entry]:
    """The compiled modules of a tree's files, by the interpreter that is in the base."""
    sources = sorted(path for path, entry in tree.items() if path.endswith(".py") and not entry.link)
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as place:
        root = Path(place)
        _lay(root, {**base, **{path: tree[path] for path in sources}})
        _run(root, "\n".join([f"{root}/", *sources]))
        found: dict[str, Entry] = {}
        for path in sources:
            folder, _, name = path.rpartition("/")
            made = f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-311.pyc"
            if (root / made).is_file():
                found[made] = Entry(data=(root / made).read_bytes())
    return found


def _lay(root: Path, tree: Mapping[str, Entry]) -> None:
    """Lay files out; links stay inside the folder by being relative or left out."""
    for path, entry in sorted(tree.items()):
        place = root / path
        if entry.folder:
            place.mkdir(parents=True, exist_ok=True)
        elif entry.link:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not entry.link.startswith("/"):
                place.symlink_to(entry.link)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(entry.data)
            place.chmod(entry.mode | 0o200)


def _run(root: Path, given: str) -> None:
    interpreter = next((root / path for path in INTERPRETERS if (root / path).exists()), None)
    if interpreter is None or not (root / LOADER).exists():
        raise OpsError(
            "the base has no Python 3.11 at /usr/bin or /usr/local/bin beside glibc for amd64",
            why="the services' packages are for CPython 3.11, and their modules are compiled by it",
            fix="take a base of Debian 12 with Python 3.11, as python:3.11-slim-bookworm is",
        )
    libraries = ":".join(str(root / path) for path in LIBRARIES)
    words = [str(root / LOADER), "--library-path", libraries, str(interpreter), "-S", "-s", "-B", "-c", COMPILE]
    env = {"PYTHONHOME": str(interpreter.parents[1]), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    try:
        done = subprocess.run(words, input=given, env=env, cwd=root, capture_output=True, text=True, check=False)
    except OSError as error:
        raise OpsError(
            f"the image's interpreter could not be started in {root}: {error.strerror}",
            why="its modules are compiled by it",
            fix="name a folder from which programs may be run: TMPDIR=/some/folder",
        ) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise OpsError(
            f"the image's interpreter failed: {said}",
            why="its modules are compiled by it",
            fix="a folder for temporary files from which programs may be run helps (TMPDIR); or --no-bytecode",
        )
