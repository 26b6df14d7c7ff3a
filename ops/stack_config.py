"""Changes a stack's config as a careful person would: the lines that are meant, and no other byte.

    draft = stack_config.draft("prod", {"sluice:canaryPercent": {"payout": 25}}, remove=["sluice:stop"])
    print(draft.diff)        # what `--dry-run` shows
    draft.write()            # in one step; refused if the file changed since it was read

Mappings are merged key by key, anything else takes the place of what stood there, and what is removed goes first, with
mappings that are empty then. Owns also the overlay of the local stack: its file is everybody's, so what a rollout on
this machine changes stands in the home, in `stack.yaml`, and is laid over stacks/Pulumi.local.yaml where that is read.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import spec
from ops import yaml_edit
from ops.errors import OpsError
from ops.home import ROOT, Home
from ops.yaml_edit import merged
from spec import files
from spec.source import laid_over, parse
from spec.stack import LOCAL

#: The overlay's file in a home, and how it begins.
OVERLAY = "stack.yaml"
_HEAD = """\
# What this machine's stack says over stacks/Pulumi.local.yaml. `sluice rollout` writes it; `sluice down --erase`, or
# deleting it, takes it away.
"""

#: What some editors begin a file with.
_MARK = "\ufeff"


class ConfigNotChanged(OpsError):
    """The stack's config was not changed, and stands as it stood."""


@dataclass(frozen=True)
class Draft:
    """A change that is not written yet."""

    path: Path
    #: How people name the file.
    shown: Path
    before: bytes | None
    after: bytes | None

    @property
    def changes(self) -> bool:
        """Whether anything would be written."""
        return self.before != self.after

    @property
    def diff(self) -> str:
        """The lines that go and come."""
        old, new = ((text or b"").decode().splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(difflib.unified_diff(old, new, str(self.shown), str(self.shown)))

    def write(self) -> bool:
        """Put it in place in one step; whether anything changed."""
        if not self.changes:
            return False
        if _bytes(self.path) != self.before:
            raise ConfigNotChanged(
                f"{self.shown} was changed by somebody else in this moment",
                why="their change would be lost",
                fix="run the command again: it goes on from what stands there now",
            )
        if self.after is None:
            self.path.unlink()
            return True
        place = self.path.resolve()  # a link stays one
        draft = place.with_name(f"{place.name}.{os.getpid()}.new")
        mode = place.stat().st_mode & 0o7777 if place.exists() else 0o600
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(self.after)
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(mode)
            draft.replace(place)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise ConfigNotChanged(
                f"{self.shown} cannot be written: {error.strerror}", fix="make it writable"
            ) from error
        return True


@dataclass(frozen=True)
class Otherwise:
    """A value for which the overlay wins: its keys, what the stack's file says, and what the overlay says."""

    keys: tuple[str, ...]
    #: None where the file, or the overlay, has no such key.
    file: Any
    overlay: Any

    def as_json(self) -> dict[str, Any]:
        """The form that --json prints."""
        return {"key": "/".join(self.keys), "overlay": self.overlay, "file": self.file}


def change(
    stack: str, changes: Mapping[str, Any], remove: Sequence[str] = (), *, root: Path = ROOT, home: Home | None = None
) -> bool:
    """Change a stack's config; whether anything was written. What is removed is named `key/inner/inner`."""
    return draft(stack, changes, remove, root=root, home=home).write()


def draft(
    stack: str, changes: Mapping[str, Any], remove: Sequence[str] = (), *, root: Path = ROOT, home: Home | None = None
) -> Draft:
    """What a change would write; refused where the outcome would be no config of this stack."""
    base = root / files.STACKS / f"{files.STACK_PREFIX}{stack}.yaml"
    gone = [("config", *name.split("/")) for name in remove]
    if stack != LOCAL:
        found = _edited(base, base.relative_to(root), {"config": changes} if changes else {}, gone)
        _accepted(stack, _read(found.after or b"", found.shown)["config"], found.shown, root)
        return found
    path = (home or Home.find()).path / OVERLAY
    below = _read(base.read_bytes(), base.relative_to(root))
    over: Mapping[str, Any] = {"config": changes} if changes else {}
    for keys in gone:
        if _has(below, keys) and not _has(over, keys):
            over = merged(over, _nested(keys, None))
    found = _edited(path, path, over, gone)
    whole = laid_over(below, _read(found.after, path) if found.after else {})
    _accepted(stack, whole["config"], path, root)
    return found


def overlay(home: Home | None = None, root: Path = ROOT) -> dict[str, Any]:
    """The keys that the overlay of a home sets, each with the whole value that it has then; empty without one."""
    path = (home or Home.find()).path / OVERLAY
    text = _bytes(path)
    if text is None:
        return {}
    base = root / files.STACKS / f"{files.STACK_PREFIX}{LOCAL}.yaml"
    over = _read(text, path)
    whole = laid_over(_read(base.read_bytes(), base.relative_to(root)), over)["config"]
    return {key: json.loads(json.dumps(whole[key])) for key in over["config"] if key in whole}


def otherwise(home: Home | None = None, root: Path = ROOT) -> list[Otherwise]:
    """Each value in which the overlay of a home differs from the stack's file, and wins."""
    text = _bytes(path := (home or Home.find()).path / OVERLAY)
    if text is None:
        return []
    base = root / files.STACKS / f"{files.STACK_PREFIX}{LOCAL}.yaml"
    below = _read(base.read_bytes(), base.relative_to(root))["config"]
    return list(_otherwise((), below, _read(text, path)["config"]))


def said_in(*keys: str, home: Home | None = None) -> str:
    """The file to change for a value of the local stack: the overlay where that wins."""
    home = home or Home.find()
    for one in otherwise(home):
        if one.keys[: len(keys)] == keys[: len(one.keys)]:
            return str(home.path / OVERLAY)
    return f"{files.STACKS}/{files.STACK_PREFIX}{LOCAL}.yaml"


def overlay_of(stack: str | None, home: Home | None = None) -> Path | None:
    """The overlay of a stack's file, where there is one."""
    path = (home or Home.find()).path / OVERLAY
    return path if stack == LOCAL and path.exists() else None


def _edited(path: Path, shown: Path, changes: Mapping[str, Any], remove: Sequence[Sequence[str]]) -> Draft:
    before = _bytes(path)
    if before is None:
        new = _HEAD + yaml_edit.block(changes) if changes else None
        return Draft(path, shown, None, new.encode() if new else None)
    expected = yaml_edit.wanted(_read(before, shown), changes, remove)
    if not expected:
        return Draft(path, shown, before, None)
    try:
        text = before.decode()
        mark = text[: len(text) - len(text.removeprefix(_MARK))]
        after = (mark + yaml_edit.edited(text.removeprefix(_MARK), changes, remove)).encode()
        if not yaml_edit.same(_read(after, shown), expected):
            raise ValueError("the lines do not stand as they are expected to")
    except (LookupError, ValueError, yaml.YAMLError, ConfigNotChanged) as error:
        raise ConfigNotChanged(
            f"{shown} cannot be changed by a program: {error}",
            why="the outcome would not be what was meant",
            fix=f"write these keys by hand, one a line: {json.dumps(changes.get('config', {}))}",
        ) from error
    return Draft(path, shown, before, after)


def _accepted(stack: str, config: Mapping[str, Any], shown: Path, root: Path) -> None:
    """Refuse what the program would refuse."""
    try:
        spec.stack_config(root, stack, config)
    except spec.SpecErrors as error:
        found = error.findings[0]
        raise ConfigNotChanged(f"{shown} would be refused: {found.said}", why=found.breaks, fix=found.fix) from error


def _read(text: bytes, shown: Path) -> dict[str, Any]:
    """A file's values, or the refusal of a file that is no config."""
    findings: list[spec.Finding] = []
    try:
        source = parse(text.decode("utf-8-sig"), shown, findings)
    except UnicodeDecodeError as error:
        raise ConfigNotChanged(f"{shown} is not UTF-8", fix="save the file as UTF-8") from error
    if source is None or not isinstance(source.values.get("config"), dict):
        raise ConfigNotChanged(
            f"{shown} is no config: {findings[0].said if findings else 'config: is missing'}",
            fix=findings[0].fix if findings else "write config: and below it the keys of the stack",
        )
    return source.values


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigNotChanged(f"{path} cannot be read: {error.strerror}", fix="make it readable") from error


def _otherwise(keys: tuple[str, ...], below: Any, over: Any) -> Iterator[Otherwise]:
    if isinstance(over, Mapping):
        for key, value in over.items():
            yield from _otherwise((*keys, str(key)), below.get(key) if isinstance(below, Mapping) else None, value)
    elif over != below:
        yield Otherwise(keys, json.loads(json.dumps(below, default=str)), json.loads(json.dumps(over, default=str)))


def _has(values: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return True


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)
