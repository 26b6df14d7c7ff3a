"""The project's files beyond the specs, as lint reads them: code, workflows, whatever lies in the tree.

Owns which files count and reads each once: those that git has or would take, and where there is no git all but what
tools fill. Leaves to the rules what must not stand there.
"""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

#: Folders that tools fill and nobody commits.
FILLED = frozenset({"node_modules", "__pycache__", "venv", "build", "dist"})

#: Folders with a dot that people write in.
WRITTEN = frozenset({".github"})

#: What is larger is data, and no file that people write.
LARGEST = 1024 * 1024


class Tree:
    """A folder of files, each given by its path from there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[Path, str] = {}
        self._codes: dict[Path, ast.Module | None] = {}

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file, in order."""
        return tuple(sorted(self._in_git() or self._walk()))

    def below(self, folder: Path, *endings: str) -> tuple[Path, ...]:
        """The files of a folder and its folders that end so."""
        return tuple(path for path in self.files if path.name.endswith(endings) and path.is_relative_to(folder))

    def text(self, path: Path) -> str:
        """A file's text; nothing of what is no text, or too large."""
        if path not in self._texts:
            try:
                whole = self.root / path
                self._texts[path] = whole.read_text("utf-8") if whole.stat().st_size <= LARGEST else ""
            except (OSError, UnicodeDecodeError):
                self._texts[path] = ""
        return self._texts[path]

    def code(self, path: Path) -> ast.Module | None:
        """A Python file as a syntax tree, if it is one."""
        if path not in self._codes:
            try:
                self._codes[path] = ast.parse(self.text(path))
            except (SyntaxError, ValueError):
                self._codes[path] = None
        return self._codes[path]

    @property
    def read(self) -> dict[Path, str]:
        """The texts that somebody has asked for."""
        return dict(self._texts)

    def _in_git(self) -> list[Path]:
        """What is committed or not ignored; nothing without git, or in a folder of which git knows nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        try:
            asked = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return []
        paths = {Path(os.fsdecode(name)) for name in asked.stdout.split(b"\0") if name}
        return [path for path in paths if (self.root / path).is_file()]

    def _walk(self) -> Iterator[Path]:
        for folder, folders, files in os.walk(self.root):
            folders[:] = [
                name for name in folders if name not in FILLED and (not name.startswith(".") or name in WRITTEN)
            ]
            here = Path(folder).relative_to(self.root)
            yield from (here / name for name in files)
