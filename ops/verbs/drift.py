"""`sluice drift`: what differs between the specs and the cloud, and what puts each right. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import local_engine
import spec
from local_engine import config as engine_config
from local_engine import estate as estates
from local_engine.errors import CloudError
from local_engine.resource_type import Defaults
from ops import project_cloud
from ops.adopt import held
from ops.drift import by_hand, compare, outside
from ops.drift.found import Found
from ops.errors import BadUsage, NotRunning, OpsError
from ops.home import ROOT, Home
from ops.output import Output, counted
from ops.specs import SpecsRefused, known
from ops.stack import identity, image
from ops.stack_config import overlay_of
from ops.supervisor import control
from spec.stack import FOUNDATION_PREFIX

#: Exit codes: something differs; not everything could be looked at.
DRIFT, INCOMPLETE = 1, 2
ABOUT = """Say where the cloud differs from the specs, and what mends it.

Exit 1 where something differs, 2 where not everything could be looked at.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("drift", help=ABOUT)(drift)


def drift(
    *,
    stack: Annotated[str, typer.Option("--stack", metavar="STACK", help="local, dev, staging or prod.")] = "local",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="FOLDER", help="A project's folder that is not this one, as `adopt` writes them."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Exit 0 where nothing differs, 1 where something does, 2 where it could not be looked at."""
    out = Output(as_json=as_json)
    if stack.startswith(FOUNDATION_PREFIX):
        env = stack.removeprefix(FOUNDATION_PREFIX)
        raise BadUsage(f"{stack} is one layer of {env}", fix=f"--stack {env} looks at both layers together")
    try:
        root = _folder(folder)
        found, left_out = _looked(stack, root)
        kept_out = outside.apart(found, held.read(root, stack))
    except OpsError as error:
        error.code = INCOMPLETE
        raise
    for one in sorted(found.findings, key=lambda one: (one.kind, one.thing, one.what)):
        out.say()
        out.plain(f"{one.thing}: {one.what}", style="yellow")
        out.plain(f"  where: {one.where}\n  specs: {one.specs}\n  cloud: {one.cloud}\n  fix:   {one.fix}")
    for unseen in found.not_looked:
        out.plain(f"could not be looked at: {unseen}", style="yellow")
    for what in left_out:
        out.plain(f"left out: {what}")
    for kept in kept_out:
        out.plain(f"\nheld back by adopt: {kept.thing}", style="yellow")
        out.plain(f"  why:   {kept.why}\n  cloud: {kept.cloud}\n  fix:   {kept.fix}")
    out.say()
    out.say(f"{counted(len(found.findings), 'difference')} between the specs and the cloud of {stack}")
    out.result(
        {
            "stack": stack,
            "drift": bool(found.findings),
            "findings": [one.as_json() for one in found.findings],
            "not_looked": found.not_looked,
            "left_out": left_out,
            "held_back": [kept.as_json() for kept in kept_out],
        }
    )
    if found.not_looked:
        raise typer.Exit(INCOMPLETE)
    if found.findings:
        raise typer.Exit(DRIFT)


def _folder(asked: Path | None) -> Path:
    """The project's folder; OpsError where there is none."""
    if asked is not None and not asked.is_dir():
        why = "is a file" if asked.exists() else "is missing"
        raise OpsError(
            f"there is no folder {asked}",
            why=f"it {why}",
            fix="name what `./sluice adopt` wrote, or leave --folder out",
        )
    return (asked or ROOT).resolve()


def _looked(stack: str, root: Path) -> tuple[Found, list[str]]:
    """What differs, and what is not looked at on purpose."""
    known(stack, root)
    try:
        system = spec.load(root, stack, overlay=overlay_of(stack) if root == ROOT else None)
        assert system.stack is not None
        lookers = _lookers(stack, root, system)
        surveys = [looker.surveyed() for looker in lookers]
        problems = [str(problem) for survey in surveys for problem in survey.result.problems]
        if problems:
            raise OpsError("the program cannot be run to its end\n" + "\n".join(problems))
        given = Defaults(system.stack.project, system.stack.region)
        cloud = lookers[-1].cloud
        estate = estates.look(cloud, [given])
        versions: dict[str, list[dict[str, Any]]] = {}
        for secret in sorted(compare.pinned_secrets(surveys)):
            try:
                path = f"projects/{given.project}/secrets/{secret}/versions"
                versions[secret] = list(cloud.pages("secretManager", path, "versions"))
            except CloudError as error:
                if error.status != 404:  # what is not there at all is told as missing
                    estate.unseen.append(f"the versions of {secret}: {error}")
        stacks = [system.stack]
        if len(lookers) > 1:
            stacks.append(spec.stack_config(root, f"{FOUNDATION_PREFIX}{stack}"))
        keys = by_hand.keys(cloud, estate)  # before the comparison, which takes what could not be seen
        found = compare.compare(
            compare.Given(
                stack=stack,
                project=given.project,
                surveys=surveys,
                estate=estate,
                versions=versions,
                number=system.stack.project_number,
                people=by_hand.people(stacks),
                channels=by_hand.channels(stacks),
                keys=keys,
                apply="./sluice up" if stack == "local" and root == ROOT else f"pulumi up --stack {stack}",
            )
        )
        return found, by_hand.left_out([goal for survey in surveys for goal in survey.left_out])
    except spec.SpecErrors as error:
        raise SpecsRefused(error) from error
    except local_engine.EngineError as error:
        raise OpsError(f"the cloud of {stack} cannot be looked at: {error}") from error


def _lookers(stack: str, root: Path, system: spec.System) -> list[local_engine.Looker]:
    """The layers of the stack; one that has nothing but what was taken over has no layer below."""
    layers = [f"foundation-{stack}", stack] if system.services else [stack]
    known: Mapping[str, Any] = {}
    home = Home.find() if stack == "local" and root == ROOT else None
    ports = home.ports() if home else None
    if home is not None:
        if ports is None or not control.running(home):
            raise NotRunning(str(home.path))
        cloud = project_cloud.local(f"http://127.0.0.1:{ports.rest}")
        known = {"state_dir": home.folder("engine"), "ports": local_engine.Ports(**asdict(ports))}
    else:
        places = engine_config.endpoints(engine_config.stack_config(root, stack))
        cloud = local_engine.Cloud(places, attribution={}) if places else project_cloud.google(stack)
    overrides = {
        layer: identity.overrides(home, ports, image.digest(), layer) if home and ports else {} for layer in layers
    }
    return [
        local_engine.Looker(stack=layer, root=root, cloud=cloud, overrides=overrides[layer], **known)
        for layer in layers
    ]
