"""What a service's code says that lint can hold against its spec, read from the text and never imported.

Owns which modules are a service's: its folder, and of the kit what it imports, whatever imports what. Texts of code are
searched as they stand; only a file that holds a word in question is parsed. Leaves the judgement to the checks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spec.files import SERVICES
from spec.tree import Tree

#: The folder that every service may import.
KIT = SERVICES / "kit"

_IMPORT = re.compile(r"^\s*(?:from|import)\s+(service_code[\w.]*)(?:\s+import\s+(\([^)]*\)|[^\n]*))?", re.M)
_NAME = re.compile(r"\w+")
_CONSTANTS = re.compile(r"""^([A-Z][A-Z0-9_]*(?:, [A-Z][A-Z0-9_]*)*) = (["'][^\n]*["'])$""", re.M)
_QUOTED = re.compile(r"""["']([^"'\n]*)["']""")
_SENDS = re.compile(r"\b(?:Next|Forward|Send)\(")

#: What a handler sends with: the queue is the first argument.
_SENDERS = frozenset({"Next", "Forward", "Send"})


@dataclass(frozen=True, slots=True)
class Sent:
    """A place in the code that sends to a queue which it names."""

    queue: str
    file: Path
    line: int
    column: int


class ServiceCode:
    """The code of all services of a tree; each question is worked out once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._modules: dict[str, tuple[Path, ...]] = {}
        self._imports: dict[Path, tuple[Path, ...]] = {}

    @cached_property
    def files(self) -> frozenset[Path]:
        """All Python files of the room."""
        return frozenset(self.tree.below(SERVICES, ".py"))

    @cached_property
    def _by_folder(self) -> dict[str, tuple[Path, ...]]:
        found: dict[str, list[Path]] = {}
        for file in sorted(self.files):
            found.setdefault(file.parts[1], []).append(file)
        return {folder: tuple(files) for folder, files in found.items()}

    def own(self, service: str) -> tuple[Path, ...]:
        """Return the files of a service's folder."""
        return self._by_folder.get(service, ())

    def modules(self, service: str) -> tuple[Path, ...]:
        """Return the files of a service and those of the kit that they import, directly or not."""
        if service not in self._modules:
            seen = dict.fromkeys(self.own(service))
            waiting = list(seen)
            while waiting:
                for found in self._imported(waiting.pop()):
                    if found not in seen and found.parts[1] == KIT.name:
                        seen[found] = None
                        waiting.append(found)
            self._modules[service] = tuple(seen)
        return self._modules[service]

    def mentions(self, service: str, word: str) -> bool:
        """Whether the code of a service holds this word, between marks that no name has."""
        quoted = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        texts = (self.tree.text(file) for file in self.modules(service))
        return any(word in text and quoted.search(text) for text in texts)

    def sends(self, service: str) -> Iterator[Sent]:
        """Yield where a service's own code sends to a queue by a name, or by a constant of that value."""
        for file in self.own(service):
            if not _SENDS.search(self.tree.text(file)) or (code := self.tree.code(file)) is None:
                continue
            known = self.constants(file)
            for node in ast.walk(code):
                if isinstance(node, ast.Call) and (queue := _queue(node)) is not None:
                    value = queue.value if isinstance(queue, ast.Constant) else None
                    value = known.get(queue.id) if isinstance(queue, ast.Name) else value
                    if isinstance(value, str):
                        yield Sent(value, file, queue.lineno, queue.col_offset + 1)

    def constants(self, file: Path) -> dict[str, str]:
        """Return the names that stand for text in a file: its own, and those of the modules that it imports."""
        found: dict[str, str] = {}
        for module in (*self._imported(file), file):
            found.update(_constants(self.tree.text(module)))
        return found

    def _imported(self, file: Path) -> tuple[Path, ...]:
        if file not in self._imports:
            self._imports[file] = tuple(self._look_up(file))
        return self._imports[file]

    def _look_up(self, file: Path) -> Iterator[Path]:
        for module, names in _IMPORT.findall(self.tree.text(file)):
            base = Path(*module.split("."))
            for path in (base, *(base / name for name in _NAME.findall(names))):
                for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                    if candidate in self.files:
                        yield candidate


def _queue(call: ast.Call) -> ast.expr | None:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name not in _SENDERS:
        return None
    named = next((word.value for word in call.keywords if word.arg == "queue"), None)
    return named or (call.args[0] if call.args else None)


def _constants(text: str) -> dict[str, str]:
    """The names at the margin of a module that stand for text, alone or in a row."""
    found: dict[str, str] = {}
    for names, values in _CONSTANTS.findall(text):
        found.update(zip(_NAME.findall(names), _QUOTED.findall(values), strict=False))
    return found
