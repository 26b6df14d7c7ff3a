"""Partial goldens of the plans: one file a component, with the inputs that matter, as dev, staging and prod have them.

`.venv/bin/python -m tests.components.plan_goldens` writes them again. What a file leaves out is not compared: delete a
line that does not matter, and it stays away. A resource that a component gains or loses is seen, whatever is listed,
but where the component gathers what has files of its own.
`{project}` and `{number}` stand for what differs by environment in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local_engine import Step
from local_engine.values import masked
from tests.components.conftest import planned

FOLDER = Path(__file__).parent / "goldens"
COMMAND = ".venv/bin/python -m tests.components.plan_goldens"
ENVS = ("dev", "staging", "prod")
NUMBERS = {"dev": "100000000001", "staging": "100000000002", "prod": "100000000003"}

#: Left out when a resource is written for the first time: the same of everything, and what is made of everything.
PLAIN = frozenset(
    [
        "project",
        "location",
        "region",
        "labels",
        "userLabels",
        "envs",
        "image",
        "revision",
        "runExecutionToken",
        "description",
        "displayName",
        "notificationChannels",
    ]
)
#: So are texts that are longer than a line.
LONGEST = 110
#: Components that gather what has files of its own: one resource of each type stands for all.
GATHERING = frozenset({"Watching"})

#: Resource -> its inputs, and the options that guard it.
Resources = dict[str, dict[str, Any]]


def components(env: str) -> dict[str, list[Step]]:
    """The components that stand directly in an environment's two stacks, by type; in the order of their names."""
    found: dict[str, list[Step]] = {}
    for layer in (f"foundation-{env}", env):
        for step in planned(layer).steps:
            if not step.custom and step.parent.endswith(f"::sluice-{layer}"):
                found.setdefault(step.type.rpartition(":")[2], []).append(step)
    return {kind: sorted(steps, key=lambda step: step.name) for kind, steps in sorted(found.items())}


def resources(env: str, component: str, name: str) -> Resources:
    """What a component declares in an environment."""
    found = [step for step in components(env).get(component, ()) if step.name == name]
    if not found:
        return {}
    return {
        f"{step.type.rpartition(':')[2]} {step.name}": _stated(env, step)
        for step in _below(env)[found[0].urn]
        if step.custom
    }


@cache
def _below(env: str) -> Mapping[str, list[Step]]:
    """Component -> all that stands in it."""
    found: dict[str, list[Step]] = {}
    for layer in (f"foundation-{env}", env):
        by_urn = {step.urn: step for step in planned(layer).steps}
        for step in planned(layer).steps:
            above = step
            while above.parent in by_urn:
                above = by_urn[above.parent]
                found.setdefault(above.urn, []).append(step)
    return found


def _stated(env: str, step: Step) -> dict[str, Any]:
    inputs: dict[str, Any] = _blank(masked(dict(step.inputs)), env)
    guards = {"protect": step.protect, "retainOnDelete": step.retain}
    return inputs | {name: True for name, on in guards.items() if on}


def _blank(value: Any, env: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _blank(item, env) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_blank(item, env) for item in value]
    if isinstance(value, str):
        return value.replace(f"sluice-{env}", "{project}").replace(NUMBERS[env], "{number}")
    return value


def missing(expected: Any, found: Any, at: str) -> Iterator[str]:
    """Where what was found lacks or contradicts what is expected."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name, value in expected.items():
            if name in found:
                yield from missing(value, found[name], f"{at}.{name}")
            else:
                yield f"{at}.{name} is gone"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, value in enumerate(expected):
            yield from missing(value, found[index], f"{at}[{index}]")
    elif expected != found:
        yield f"{at} is {found!r}, not {expected!r}"


def golden(path: Path) -> Mapping[str, Any]:
    """What a file says."""
    return dict(yaml.safe_load(path.read_text("utf-8")))


def expected(said: Mapping[str, Any], env: str) -> Resources:
    """What it says of one environment: what all have, and with it what this one has."""
    both: Resources = _merged(said["all"], said.get(env, {}))
    return both


def _merged(one: Any, over: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(over, Mapping):
        return {**one, **{key: _merged(one.get(key), value) for key, value in over.items()}}
    return over


def write() -> None:
    """Write every golden again; of a resource that it has already, only the inputs that it has."""
    FOLDER.mkdir(exist_ok=True)
    wanted = components("prod") | components("staging") | components("dev")
    for component in wanted:
        path = FOLDER / f"{component}.yaml"
        before = golden(path) if path.exists() else {}
        names = {step.name for env in ENVS for step in components(env).get(component, ())}
        name = before.get("name") if before.get("name") in names else min(names)
        path.write_text(_text(component, str(name), before), "utf-8")
    for path in FOLDER.glob("*.yaml"):
        if path.stem not in wanted:
            path.unlink()


def _text(component: str, name: str, before: Mapping[str, Any]) -> str:
    plans = {env: resources(env, component, name) for env in ENVS}
    known = {env: expected(before, env) for env in ENVS} if before else {}
    chosen = {env: _chosen(component, plans[env], known.get(env, {})) for env in ENVS}
    same = _common([chosen[env] for env in ENVS])
    own = {env: rest for env in ENVS if (rest := _without(chosen[env], same))}
    said: dict[str, Any] = {"component": component, "name": name, "all": same, **own}
    body = yaml.safe_dump(said, sort_keys=False, width=110, allow_unicode=True)
    return f"# Partial: what is not here is not compared. Written again by: {COMMAND}\n{body}"


def _common(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all have alike, inside of what differs too."""
    first, *others = found
    same: dict[str, Any] = {}
    for key, value in first.items():
        if any(key not in other for other in others):
            continue
        if all(other[key] == value for other in others):
            same[key] = value
        elif all(isinstance(one[key], Mapping) for one in found):
            same[key] = _common([one[key] for one in found])
    return same


def _without(found: Mapping[str, Any], same: Mapping[str, Any]) -> dict[str, Any]:
    rest: dict[str, Any] = {}
    for key, value in found.items():
        if key not in same:
            rest[key] = value
        elif isinstance(value, Mapping) and (inner := _without(value, same[key])):
            rest[key] = inner
    return rest


def _chosen(component: str, found: Resources, known: Resources) -> Resources:
    """Of each resource what the golden has of it, or else what matters of it."""
    stand_in = {one.partition(" ")[0]: one for one in reversed(found)}
    return {
        one: _like(known[one], inputs) if one in known else _trimmed(inputs)
        for one, inputs in found.items()
        if component not in GATHERING or (one in known if known else one in stand_in.values())
    }


def _like(known: Any, found: Any) -> Any:
    if isinstance(known, Mapping) and isinstance(found, Mapping):
        return {key: _like(known[key], value) for key, value in found.items() if key in known}
    if isinstance(known, list) and isinstance(found, list) and len(known) == len(found):
        return [_like(one, other) for one, other in zip(known, found, strict=True)]
    return _trimmed(found)


def _trimmed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _trimmed(item) for key, item in value.items() if key not in PLAIN and not _is_long(item)}
    return [_trimmed(item) for item in value] if isinstance(value, list) else value


def _is_long(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and len(text) > LONGEST for text in texts)


if __name__ == "__main__":
    write()
