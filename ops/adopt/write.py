"""Writes an adoption into a folder: a whole project with a program, so that it can be previewed where it stands.

Owns the refusal to write over anything that it did not find just so, and the order: the import file comes last, so that
a folder without one is half-written and is known for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

import spec
from ops.errors import OpsError
from ops.home import ROOT
from ops.specs import SpecsRefused
from spec import files, schema
from spec.checks.schema_line import expected_line

IMPORT = "import.json"
REPORT = "ADOPTED.md"
PROPOSALS = Path("proposals")
_PROGRAM = (Path("Pulumi.yaml"), Path("stacks/__main__.py"))
#: What a preview of a folder reads, and what stands there of an earlier run.
_READ = (Path("Pulumi.yaml"), files.STACKS, Path("queue_configs"), Path("dashboards"), files.SERVICES)


def refuse_to_overwrite(folder: Path, stack: str, project_id: str, *, force: bool) -> None:
    """OpsError where the folder holds what a run would write over, or belongs to another project."""
    if folder.exists() and not folder.is_dir():
        raise OpsError(f"{folder} is a file", fix="name a folder, which may be missing or empty")
    if (folder / files.STACKS / f"{files.STACK_PREFIX}{stack}.yaml").exists():
        config = _config(folder, stack)
        if config.project != project_id:
            raise OpsError(
                f"the stack {stack} of {folder} is the project {config.project}, not {project_id}",
                why="one stack is one project",
                fix="name another stack with --stack, or another folder with --to",
            )
    standing = [path for path in (files.ADOPTED / stack, PROPOSALS, Path(REPORT)) if (folder / path).exists()]
    if not standing or force:
        return
    half = "" if (folder / files.ADOPTED / stack / IMPORT).exists() else ", half-written"
    raise OpsError(
        f"{folder} has {', '.join(map(str, standing))} already{half}",
        why="what a person has changed there would be lost",
        fix="name another folder with --to, or add --force to write them anew",
    )


def _config(folder: Path, stack: str) -> spec.StackConfig:
    try:
        return spec.stack_config(folder, stack)
    except spec.SpecErrors as error:
        raise SpecsRefused(error) from error


def copied(folder: Path, to: Path) -> Path:
    """What a preview of the folder reads, at another place, where it can be tried."""
    to.mkdir(parents=True)
    for path in _READ:
        if (folder / path).is_dir():
            shutil.copytree(folder / path, to / path, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        elif (folder / path).is_file():
            shutil.copyfile(folder / path, to / path)
    return to


def project(folder: Path) -> None:
    """The program and the schemas, where the folder has none of its own."""
    for path in _PROGRAM:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(ROOT / path, target)
    schema.write(folder)


def stack_file(folder: Path, stack: str, config: Mapping[str, Any]) -> None:
    """The stack's config, unless a person has written one."""
    path = files.STACKS / f"{files.STACK_PREFIX}{stack}.yaml"
    if not (folder / path).exists():
        _write(folder, path, "stack", {"config": dict(config)}, ())


def entries(folder: Path, stack: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """One file for each entry, and none that was found no more."""
    place = folder / files.ADOPTED / stack
    if place.exists():
        for path in [*place.glob("*.yaml"), *place.glob(IMPORT)]:
            path.unlink()
    for name, entry in found.items():
        _write(folder, files.ADOPTED / stack / f"{name}.yaml", "adopted", entry, ())


def drafts(folder: Path, found: Iterable[tuple[str, Mapping[str, Any], Iterable[str]]]) -> None:
    """The drafts of specs; each names its schema as from the place where it will stand."""
    shutil.rmtree(folder / PROPOSALS, ignore_errors=True)
    for path, values, notes in found:
        said = {key: value for key, value in values.items() if value is not None}
        _write(folder / PROPOSALS, Path(path), _noun(Path(path)), said, notes)


def _noun(path: Path) -> str:
    nouns = {files.TASKS: "queue", files.TOPICS: "topic", files.SECRETS: "secret"}
    return nouns.get(path.parent, "service")


def import_file(folder: Path, stack: str, found: Mapping[str, Any]) -> Path:
    """The import file."""
    path = folder / files.ADOPTED / stack / IMPORT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path


def _write(folder: Path, path: Path, noun: str, values: Mapping[str, Any], notes: Iterable[str]) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [expected_line(noun, path)] if noun else []
    lines += [f"# {note}" for note in notes]
    body = yaml.dump(dict(values), sort_keys=False, allow_unicode=True, width=110)
    target.write_text("\n".join([*lines, body]))
