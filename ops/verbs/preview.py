"""`sluice preview`: what `up` would change, for any stack; no account, no Pulumi CLI and no network is needed.

With --since it says what would change where another commit is deployed, and --comment writes that for a pull request.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import local_engine
import spec
from ops import specs, stack_config
from ops.errors import BadUsage, OpsError
from ops.home import ROOT, Home
from ops.output import Output, writable, write
from ops.since import checkout, report
from ops.stack import identity, image
from ops.supervisor import control
from spec.stack import LOCAL

#: Columns of what is piped, and the least that a terminal is taken to have.
PIPED, NARROWEST = 120, 60


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("preview", help="Show what `up` would change, for any stack.")(preview)


def preview(
    *,
    stack: Annotated[
        str,
        typer.Option(
            "--stack", help="local, dev, staging, prod, or foundation-... of these; several with --since: a,b"
        ),
    ] = "local",
    since: Annotated[str, typer.Option("--since", help="Compare with this commit instead of what is deployed.")] = "",
    comment: Annotated[
        Path | None,
        typer.Option("--comment", help="With --since: write the pull request's comment; empty if no change."),
    ] = None,
    all_resources: Annotated[bool, typer.Option("--all", help="List what stays the same, too.")] = False,
    short: Annotated[bool, typer.Option("--short", help="One line a resource, without its properties.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Print long values whole, too; so does --json.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print the differences; an environment's two layers are shown in the order in which they are deployed."""
    out = Output(as_json=as_json)
    if since:
        _since(out, stack.split(","), since, comment, short=short, full=full)
        return
    if comment:
        raise BadUsage("--comment says what changes since a commit", fix="add --since origin/main")
    if "," in stack:
        raise BadUsage(
            f"{stack!r} are several stacks",
            why="one is previewed at a time",
            fix="name one, or add --since origin/main",
        )
    layers = [stack] if stack.startswith("foundation-") else [f"foundation-{stack}", stack]
    specs.config_of(stack)
    results: list[local_engine.Result] = []
    for layer in layers:
        results.append(_plan(layer, results))
    _show(out, results, short=short, full=full, all_resources=all_resources)
    if as_json:  # a plan of thousands of resources takes its time to say
        changed = any(result.changed for result in results)
        out.result({"stack": stack, "changed": changed, "layers": [result.as_json() for result in results]})
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def _show(
    out: Output, results: Sequence[local_engine.Result], *, short: bool, full: bool, all_resources: bool = False
) -> None:
    """Each result in lines that fit into a terminal; piped ones are not long either, but with --full."""
    if out.as_json:
        return
    terminal = sys.stdout.isatty()
    width = None if full else max(NARROWEST, shutil.get_terminal_size().columns if terminal else PIPED)
    texts = [
        local_engine.render(result, colour=terminal, detail=not short, all_resources=all_resources, width=width)
        for result in results
    ]
    print("\n\n".join(texts))
    if any(local_engine.CUT in text for text in texts):
        out.plain(
            f"\nlong values are cut ({local_engine.CUT}): --full shows them whole, --json has everything", style="dim"
        )


def _since(out: Output, stacks: list[str], since: str, comment: Path | None, *, short: bool, full: bool) -> None:
    """Compare each stack's plan with the one of another commit."""
    for stack in stacks:
        specs.config_of(stack)
    if comment:
        writable(comment)
    with checkout.at(since) as folder:
        found = [_compared(stack, folder, since) for stack in stacks]
    text = report.markdown(found, since)
    if comment:
        write(comment, text)
    layers = [layer for one in found for layer in one.layers]
    _show(out, layers, short=short, full=full)
    changed = any(layer.changed for layer in layers)
    out.result({"since": since, "changed": changed, "comment": text, "layers": [layer.as_json() for layer in layers]})
    if not all(layer.ok for layer in layers):
        raise typer.Exit(1)


def _compared(stack: str, folder: Path, since: str) -> report.Compared:
    names = [stack] if stack.startswith("foundation-") else [f"foundation-{stack}", stack]
    before = checkout.plan(folder, stack, since) or {}
    plans: list[local_engine.Result] = []
    for name in names:
        plans.append(_planned(name, plans))
    layers = [local_engine.compare(before.get(plan.stack), plan, f"the plan of {since}") for plan in plans]
    return report.Compared(stack=stack, layers=layers, before=_side(folder, stack), after=_side(ROOT, stack))


def _side(root: Path, stack: str) -> report.Side:
    """A commit's specs; nothing where it has no such environment, or this release cannot read them."""
    env = stack.removeprefix("foundation-")
    try:
        return report.Side(system=spec.load(root, env), below=spec.stack_config(root, f"foundation-{env}"))
    except (spec.SpecErrors, OSError):
        return report.Side(system=None, below=None)


def _planned(layer: str, below: Sequence[local_engine.Result]) -> local_engine.Result:
    """The plan of this tree, asked of nobody; the local stack's image is made of the code at hand."""
    made = {"sluice:imageDigest": image.digest()} if layer in identity.LAYERS else {}
    if layer == LOCAL:
        made = {**stack_config.overlay(), **made}
    return _run(layer, state_dir=None, offline=True, planned=below, overrides=made)


def _plan(layer: str, below: Sequence[local_engine.Result]) -> local_engine.Result:
    home = Home.find()
    if layer not in identity.LAYERS or not control.running(home):
        return _planned(layer, below)
    ports = home.ports()
    return _run(
        layer,
        state_dir=home.folder("engine"),
        ports=local_engine.Ports(**asdict(ports)) if ports else None,
        overrides=identity.overrides(home, ports, image.digest(), layer) if ports else None,
        offline=False,
        planned=below,
    )


def _run(layer: str, **how: Any) -> local_engine.Result:
    try:
        return local_engine.run(layer, root=ROOT, mode="preview", **how)
    except spec.SpecErrors as error:
        raise specs.SpecsRefused(error) from error
    except local_engine.EngineError as error:
        raise OpsError(str(error)) from error
