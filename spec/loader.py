"""From a project's folder to a checked `System`: every file is read, every finding kept, and all are shown together.

Owns the order of the work: find files, read them, build the models, run the checks. A file that cannot be used hides no
finding of another, and its name still counts as declared, so that one slip does not look like ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from spec import files
from spec.adopted import Adopted
from spec.alert import Alert
from spec.board import Board
from spec.channel import Channel
from spec.checks import Draft, Report, run
from spec.errors import Finding, Severity, SpecErrors, Where, choose
from spec.explain import explain
from spec.files import SpecFile
from spec.graph import System
from spec.log_metric import LogMetric
from spec.model import Named
from spec.route import Route, RouteFile
from spec.secret import Secret
from spec.service import Service
from spec.silences import SilencesFile
from spec.slo import Slo
from spec.source import Source, read, read_text
from spec.stack import FOUNDATION_PREFIX, StackConfig, StackFile, from_flat
from spec.task_queue import TaskQueue
from spec.topic import Topic

Kind = TypeVar("Kind", bound=Named)


def load(
    root: Path, stack: str | None = None, config: Mapping[str, Any] | None = None, *, overlay: Path | None = None
) -> System:
    """Return the system of a project, or raise `SpecErrors` with everything that is wrong.

    With a stack, its config is checked too and stands in `System.stack`. `config` replaces what the stack's file
    says: it is the config as Pulumi hands it to a running program, with overrides of the command line in it. An
    `overlay` is a file of the same form that is laid over the stack's.
    """
    configs = {stack: config} if stack and config is not None else {}
    draft = _draft(Path(root), [stack] if stack else [], configs, overlay)
    found = run(draft).findings
    if any(finding.severity is Severity.ERROR for finding in found):
        raise SpecErrors([finding for finding in found if finding.severity is Severity.ERROR])
    return replace(draft.system, stack=draft.stacks.get(stack) if stack else None, warnings=tuple(found))


def lint(root: Path) -> tuple[Finding, ...]:
    """Return every finding about every file and every stack, warnings among them, in the order of the files."""
    return tuple(report(root).findings)


def report(root: Path) -> Report:
    """Return what `lint` does, and the findings that a file has silenced with a reason."""
    root = Path(root)
    return run(_draft(root, list(files.stacks(root)), {}), whole=True)


def stack_config(
    root: Path, stack: str, config: Mapping[str, Any] | None = None, *, overlay: Path | None = None
) -> StackConfig:
    """Return the config of one stack from its file alone, or raise `SpecErrors`.

    Whoever looks at what is deployed needs a project and names, whatever state the other specs are in.
    """
    draft = Draft(System(root=Path(root), services={}, queues={}, secrets={}))
    _read_stack(draft, stack, config, overlay)
    if errors := [finding for finding in draft.findings if finding.severity is Severity.ERROR]:
        raise SpecErrors(errors)
    return draft.stacks[stack]


def _draft(
    root: Path, stacks: list[str], configs: Mapping[str, Mapping[str, Any]], overlay: Path | None = None
) -> Draft:
    draft = Draft(System(root=root, services={}, queues={}, secrets={}))
    draft.system = replace(
        draft.system,
        services=_read_all(draft, "service", Service, files.services(root, draft.findings)),
        queues=_read_all(draft, "queue", TaskQueue, files.task_queues(root, draft.findings)),
        topics=_read_all(draft, "topic", Topic, files.topics(root, draft.findings)),
        secrets=_read_all(draft, "secret", Secret, files.secrets(root, draft.findings)),
        routes=_read_routes(draft),
        alerts=_read_all(draft, "alert", Alert, files.alerts(root, draft.findings)),
        metrics=_read_all(draft, "metric", LogMetric, files.metrics(root, draft.findings)),
        slos=_read_all(draft, "slo", Slo, files.slos(root, draft.findings)),
        channels=_read_all(draft, "channel", Channel, files.channels(root, draft.findings)),
        boards=_read_boards(draft),
    )
    _read_silences(draft)
    envs = [stack.removeprefix(FOUNDATION_PREFIX) for stack in stacks]
    adopted = _read_all(draft, "adopted", Adopted, files.adopted(root, envs, draft.findings))
    took_over = any((root / files.ADOPTED / env).is_dir() for env in envs)
    draft.system = replace(draft.system, adopted=adopted, took_over=took_over)
    if not draft.declared["service"] and not adopted:
        draft.findings.append(_nothing(root))
    for stack in stacks:
        _read_stack(draft, stack, configs.get(stack), overlay)
    return draft


def _read_all(draft: Draft, noun: str, model: type[Kind], found: Mapping[str, SpecFile]) -> dict[str, Kind]:
    models: dict[str, Kind] = {}
    draft.declared[noun] = frozenset(found)
    for name, file in found.items():
        source = read(file.path, file.shown_as, draft.findings)
        if source is None:
            continue
        draft.sources[noun, name] = source
        if "name" in source.values:
            draft.findings.append(_names_itself(source, file))
            continue
        try:
            models[name] = model.model_validate({**source.values, "name": name})
        except ValidationError as error:
            draft.findings.extend(explain(error, source, model))
    return models


def _read_boards(draft: Draft) -> dict[str, Board]:
    boards: dict[str, Board] = {}
    for name, file in files.boards(draft.system.root).items():
        text = read_text(file.path, file.shown_as, draft.findings)
        if text is not None:
            boards[name] = Board(name=name, file=file.shown_as, template=text)
    return boards


def _read_routes(draft: Draft) -> dict[str, Route]:
    file = files.routes(draft.system.root, draft.findings)
    source = read(file.path, file.shown_as, draft.findings) if file else None
    if source is None:
        return {}
    draft.sources["routes", files.ROUTES.stem] = source
    named = source.values.get("routes")
    draft.declared["route"] = frozenset(map(str, named)) if isinstance(named, dict) else frozenset()
    try:
        return RouteFile.model_validate(source.values).routes
    except ValidationError as error:
        draft.findings.extend(explain(error, source, RouteFile))
        return {}


def _read_silences(draft: Draft) -> None:
    file = files.silences(draft.system.root, draft.findings)
    source = read(file.path, file.shown_as, draft.findings) if file else None
    if source is None:
        return
    draft.sources["silences", files.SILENCES.stem] = source
    try:
        SilencesFile.model_validate(source.values)
    except ValidationError as error:
        draft.findings.extend(explain(error, source, SilencesFile))


def _read_stack(draft: Draft, stack: str, config: Mapping[str, Any] | None, overlay: Path | None = None) -> None:
    file = files.stacks(draft.system.root).get(stack)
    source: Source | None
    if config is not None:
        source = Source(file.shown_as if file else files.STACKS / f"{files.STACK_PREFIX}{stack}.yaml")
        source.values = {"config": from_flat(config)}
        draft.running.add(stack)
    elif file is None:
        draft.findings.append(_no_stack(draft.system.root, stack))
        return
    else:
        source = read(file.path, file.shown_as, draft.findings)
    over = read(overlay, overlay, draft.findings) if overlay and config is None else None
    if source is None:
        return
    source = source.under(over) if over else source
    draft.sources["stack", stack] = source
    inner = source.values.get("config")
    values = {**source.values, "config": {**inner, "name": stack}} if isinstance(inner, dict) else source.values
    try:
        draft.stacks[stack] = StackFile.model_validate(values).config
    except ValidationError as error:
        draft.findings.extend(explain(error, source, StackFile))


def _names_itself(source: Source, file: SpecFile) -> Finding:
    return Finding(
        where=source.at_key("name"),
        key="name",
        what=f"the file names itself {source.values['name']!r}",
        breaks=f"its name is {file.name!r} already, by its place; two names would drift apart",
        rule="SL105",
        fix="delete the line, and rename the file (or the service's folder) if it should have another name",
    )


def _no_stack(root: Path, stack: str) -> Finding:
    return Finding(
        where=Where(files.STACKS / f"{files.STACK_PREFIX}{stack}.yaml"),
        key="",
        what=f"there is no stack {stack!r}",
        breaks="nobody knows which project it would be deployed to",
        rule="SL105",
        fix=f"{choose(stack, files.stacks(root), noun='stack')} Or write the file.",
    )


def _nothing(root: Path) -> Finding:
    return Finding(
        where=Where(files.SERVICES),
        key="",
        what=f"no service is declared under {root}",
        breaks="there is nothing to deploy",
        rule="SL105",
        fix=f"run the command in a project that has {files.SERVICES}/<service>/{files.SERVICE_FILE}",
    )
