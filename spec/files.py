"""Which files are specs: the folder is the registry and the file's stem is the name.

Owns the layout of queue_configs/, dashboards/, service_code/ and stacks/, and the refusal of a name that stands in two
places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spec.errors import Finding, Where

TASKS = Path("queue_configs/tasks")
TOPICS = Path("queue_configs/topics")
SECRETS = Path("queue_configs/secrets")
ROUTES = Path("queue_configs/routes.yaml")
SILENCES = Path("queue_configs/silences.yaml")
ALERTS = Path("dashboards/alerts")
METRICS = Path("dashboards/metrics")
SLOS = Path("dashboards/slos")
CHANNELS = Path("dashboards/channels")
BOARDS = Path("dashboards/boards")
ADOPTED = Path("queue_configs/adopted")
SERVICES = Path("service_code")
STACKS = Path("stacks")
SERVICE_FILE = "service.yaml"
STACK_PREFIX = "Pulumi."

#: How the template of a dashboard ends.
TEMPLATE = ".yaml.j2"

#: Endings that people give to YAML files; only the first is read.
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A file and the name that it declares."""

    name: str
    path: Path
    shown_as: Path


def task_queues(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find queue_configs/tasks/<queue>.yaml."""
    return _by_stem(root, TASKS, "queue", findings)


def topics(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find queue_configs/topics/<topic>.yaml."""
    return _by_stem(root, TOPICS, "topic", findings)


def secrets(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find queue_configs/secrets/<SECRET>.yaml."""
    return _by_stem(root, SECRETS, "secret", findings)


def alerts(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find dashboards/alerts/<alert>.yaml."""
    return _by_stem(root, ALERTS, "alert", findings)


def metrics(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find dashboards/metrics/<metric>.yaml."""
    return _by_stem(root, METRICS, "metric", findings)


def slos(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find dashboards/slos/<slo>.yaml."""
    return _by_stem(root, SLOS, "slo", findings)


def channels(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find dashboards/channels/<channel>.yaml."""
    return _by_stem(root, CHANNELS, "channel", findings)


def boards(root: Path) -> dict[str, SpecFile]:
    """Find dashboards/boards/<board>.yaml.j2."""
    paths = sorted((root / BOARDS).glob(f"[!.]*{TEMPLATE}"))
    names = [(path.name.removesuffix(TEMPLATE), path) for path in paths]
    return {name: SpecFile(name, path, path.relative_to(root)) for name, path in names}


def adopted(root: Path, envs: Iterable[str], findings: list[Finding]) -> dict[str, SpecFile]:
    """Find queue_configs/adopted/<env>/<kind>.<name>.yaml of these environments; a name begins with its own."""
    found = {env: _by_stem(root, ADOPTED / env, "resource taken over", findings) for env in sorted(set(envs))}
    return {f"{env}/{name}": file for env, files in found.items() for name, file in files.items()}


def routes(root: Path, findings: list[Finding]) -> SpecFile | None:
    """Find queue_configs/routes.yaml, if the project has routes."""
    return _single(root, ROUTES, "list of routes", findings)


def silences(root: Path, findings: list[Finding]) -> SpecFile | None:
    """Find queue_configs/silences.yaml, if a file of the project cannot say itself what it breaks on purpose."""
    return _single(root, SILENCES, "list of silences", findings)


def services(root: Path, findings: list[Finding]) -> dict[str, SpecFile]:
    """Find service_code/<service>/service.yaml."""
    found: list[SpecFile] = []
    for ending in ENDINGS:
        for pattern in (f"*/service{ending}", f"*/*/service{ending}", f"service{ending}"):
            for path in (root / SERVICES).glob(pattern):
                found.append(SpecFile(path.parent.name, path, path.relative_to(root)))
    return _unique(found, "service", lambda name: SERVICES / name / SERVICE_FILE, findings)


def stacks(root: Path) -> dict[str, SpecFile]:
    """Find stacks/Pulumi.<stack>.yaml."""
    paths = sorted((root / STACKS).glob(f"{STACK_PREFIX}*.yaml"))
    names = [(path.name.removeprefix(STACK_PREFIX).removesuffix(".yaml"), path) for path in paths]
    return {name: SpecFile(name, path, path.relative_to(root)) for name, path in names}


def _single(root: Path, proper: Path, noun: str, findings: list[Finding]) -> SpecFile | None:
    for path in sorted((root / proper.parent).glob("*")):
        if path.stem == proper.stem and path.suffix.lower() in ENDINGS:
            file = SpecFile(proper.stem, path, path.relative_to(root))
            if file.shown_as == proper:
                return file
            findings.append(_misplaced(noun, file, proper))
    return None


def _by_stem(root: Path, folder: Path, noun: str, findings: list[Finding]) -> dict[str, SpecFile]:
    found = [SpecFile(path.stem, path, path.relative_to(root)) for path in _yaml_files(root / folder)]
    return _unique(found, noun, lambda name: folder / f"{name}.yaml", findings)


def _yaml_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            yield path


def _unique(
    found: Iterable[SpecFile], noun: str, proper: Callable[[str], Path], findings: list[Finding]
) -> dict[str, SpecFile]:
    """Keep one file a name; every other file, and every file at the wrong place, becomes a finding."""
    by_name: dict[str, list[SpecFile]] = {}
    for file in found:
        by_name.setdefault(file.name.lower(), []).append(file)
    kept: dict[str, SpecFile] = {}
    for files in by_name.values():
        first, *others = sorted(files, key=lambda file: (file.shown_as != proper(file.name), file.shown_as))
        kept[first.name] = first
        if others:
            findings.extend(_duplicate(noun, first, other) for other in others)
        elif first.shown_as != proper(first.name):
            findings.append(_misplaced(noun, first, proper(first.name)))
    return dict(sorted(kept.items()))


def _duplicate(noun: str, first: SpecFile, other: SpecFile) -> Finding:
    return Finding(
        where=Where(other.shown_as),
        key="",
        what=f"the {noun} {other.name} is declared here and in {first.shown_as}",
        breaks="only one of the two would be deployed, and a change to the other would do nothing",
        rule="SL105",
        fix=f"delete one of the two files, or rename one: the name of a {noun} is the name of its file",
    )


def _misplaced(noun: str, file: SpecFile, proper: Path) -> Finding:
    return Finding(
        where=Where(file.shown_as),
        key="",
        what=f"{'an' if noun[0] in 'aeiou' else 'a'} {noun} does not belong here",
        breaks="whoever lists the folder would not find it, and other tools would not read it",
        rule="SL105",
        fix=f"move the file to {proper}",
    )
