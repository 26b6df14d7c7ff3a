"""`sluice preview`: what `up` would change, for any stack; no account, no Pulumi CLI and no network is needed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

import local_engine
import spec
from ops import specs
from ops.errors import OpsError
from ops.home import ROOT, Home
from ops.output import Output
from ops.stack import identity, image
from ops.supervisor import control


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("preview", help="Show what `up` would change, for any stack.")(preview)


def preview(
    *,
    stack: Annotated[
        str, typer.Option("--stack", help="local, dev, staging, prod, or foundation-... of these.")
    ] = "local",
    all_resources: Annotated[bool, typer.Option("--all", help="List what stays the same, too.")] = False,
    short: Annotated[bool, typer.Option("--short", help="One line a resource, without its properties.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print the differences; an environment's two layers are shown in the order in which they are deployed."""
    out = Output(as_json=as_json)
    layers = [stack] if stack.startswith("foundation-") else [f"foundation-{stack}", stack]
    specs.load(stack)
    results = [_plan(layer) for layer in layers]
    colour = sys.stdout.isatty() and not as_json
    for result in results:
        if not as_json:
            print(local_engine.render(result, colour=colour, detail=not short, all_resources=all_resources), end="\n\n")
    out.result({"stack": stack, "changed": any(r.changed for r in results), "layers": [r.as_json() for r in results]})
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def _plan(layer: str) -> local_engine.Result:
    home = Home.find()
    local = layer in identity.LAYERS and control.running(home)
    ports = home.ports() if local else None
    try:
        return local_engine.run(
            layer,
            root=ROOT,
            mode="preview",
            state_dir=home.folder("engine") if local else None,
            ports=local_engine.Ports(**asdict(ports)) if ports else None,
            overrides=identity.overrides(home, ports, image.digest()) if ports else None,
            offline=not local,
        )
    except spec.SpecErrors as error:
        raise specs.SpecsRefused(error) from error
    except local_engine.EngineError as error:
        raise OpsError(str(error)) from error
