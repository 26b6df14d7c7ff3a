"""The image of a local stack: a copy of service_code/ named by the hash of what is in it.

On Google Cloud an image is built from a commit (ops/images/) and named by the registry's digest. Locally nothing needs
a container: the local cloud starts a revision from the folder that was registered for the digest, which has the same
kinds of files. The copy stays what it was when the code in the checkout is edited, as an image does.
"""

from __future__ import annotations

import shutil
import sys
from hashlib import sha256
from pathlib import Path

from ops.home import ROOT, Home
from ops.images.code import SUFFIXES

#: What a container's command runs: `python -m service_code.kit.main <service>`.
ENTRY = "service_code.kit.main:main"

#: Imported once by the process that revisions are forked from; the heavy ones first.
PRELOAD = ["uvicorn", "eth_account", "service_code.kit.main", "service_code.kit.app", "service_code.kit.runtime"]


def digest(root: Path = ROOT) -> str:
    """The name of the code below a folder as it stands: `sha256:` and a hash over every file's path and content."""
    hasher = sha256(sys.version.encode())
    for path in _files(root):
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        hasher.update(content)
    return f"sha256:{hasher.hexdigest()}"


def build(home: Home) -> tuple[str, Path]:
    """Copy the code to the home unless it is there; its digest and folder."""
    name = digest()
    folder = home.path / "images" / name.removeprefix("sha256:")
    if not folder.exists():
        draft = folder.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        for path in _files(ROOT):
            target = draft / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        draft.rename(folder)
    return name, folder


def _files(root: Path) -> list[Path]:
    found = (root / "service_code").rglob("*")
    return sorted(path for path in found if path.suffix in SUFFIXES and "__pycache__" not in path.parts)
