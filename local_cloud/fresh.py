"""A state that is not kept: a temporary directory, gone when its cloud ends.

A cloud that was killed leaves its directory; the next fresh one removes it.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "local-cloud-"

#: What tells a fresh state's directory from a kept one that somebody has put beside it.
MARK = "fresh"


def make() -> Path:
    """A new directory; what killed clouds left behind goes."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_left(left):
            remove(left)
    made = Path(tempfile.mkdtemp(prefix=PREFIX))
    (made / MARK).touch()
    return made


def remove(directory: Path) -> None:
    """Forget a fresh state."""
    shutil.rmtree(directory, ignore_errors=True)


def _is_left(directory: Path) -> bool:
    """Whether a cloud of ours has held this directory and is gone: the lock names it, and nobody has the lock."""
    if not (directory / MARK).exists():
        return False
    try:
        handle = os.open(directory / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        if os.fstat(handle).st_uid != os.geteuid() or not os.read(handle, 20):
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
