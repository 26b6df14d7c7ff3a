"""`sluice up`, step by step: processes, image, foundation with the database, secrets, services after the migrations,
and the start of the queues that it made.

Each step does nothing when there is nothing to do. While a rollout is under way, whether anybody walks it or not, the
processes alone are started: what was edited meanwhile would come to all services at once, at 100 %.

Owns the order and the tale of it. Leaves each step's work to the module that knows it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import local_engine
import spec
from local_engine import Event, Op, Result
from ops import place, rest, specs
from ops.cloud import LocalCloud
from ops.errors import OpsError
from ops.home import ROOT, Home, Ports
from ops.output import Output, counted
from ops.queues import start
from ops.queues.calls import Calls
from ops.rollout import lock
from ops.rollout.state import Rollout
from ops.stack import identity, image, material, under_way, versions
from ops.stack.migrations import Migrations
from ops.supervisor import control

#: The type of the resource that is made paused.
QUEUE = "gcp:cloudtasks/queue:Queue"

#: What is told of no resource by itself: whatever depends on one that failed is counted beside why that failed.
UNTOLD = (Op.SAME, Op.READ, Op.SKIP)

#: Where a home keeps the names of queues that are to be started.
FRESH = "new-queues.json"


class DeployFailed(OpsError):
    """A layer could not be deployed; what was done stays, and `up` goes on from there."""

    def __init__(self, result: Result) -> None:
        problems = "\n".join(f"  {problem}" for problem in result.problems)
        if skipped := result.counts.get(Op.SKIP, 0):
            problems += f"\n  {counted(skipped, 'resource')} not attempted: what they depend on failed"
        super().__init__(
            f"the stack {result.stack} is not deployed:\n{problems}",
            why="what was done so far is kept in the state",
            fix="mend it and run ./sluice up again: it goes on from there",
        )


def up(home: Home, out: Output) -> dict[str, Any]:
    """Bring the local stack to what the specs say; what was done, as --json shows it."""
    began = time.monotonic()
    system = specs.load("local", outcome=", nothing was deployed")  # before anything is started
    home.prepare()
    ports = home.choose_ports()
    out.step("specs checked")
    started = control.start(home, ports, out.step)
    here = place.here(home)
    if not started:
        under_way.refuse(here, why="what was edited meanwhile would come to all other services at once, at 100 %")
    elif (rollout := under_way.rollout(here)) is not None:
        return _processes_alone(here, rollout, out, time.monotonic() - began)
    lock.free(here)  # two who change shares at once would undo each other
    digest, folder = image.build(home)
    cloud = LocalCloud(home)
    register_image(cloud, digest, folder)
    out.step("image of the services", digest[:19])
    stored = [name for name, service in system.services.items() if service.database]
    layers = {}
    for layer in identity.LAYERS:
        teller = _Teller(out, Migrations(cloud, out, stored), Fresh(home))
        layers[layer] = apply(home, ports, layer, digest, teller)
        if layer == identity.LAYERS[0]:
            layers["secrets"] = {"writes": add_secrets(home, cloud, out)}
    started_queues = start_queues(home, system, out)
    writes = sum(layer["writes"] for layer in layers.values())
    seconds = time.monotonic() - began
    if writes:
        out.say(f"\n[bold]deployed[/bold] in {seconds:.1f} s: {counted(writes, 'write call')}")
    else:
        out.say(f"\n[bold]nothing has changed[/bold]: not one write call  ({seconds:.1f} s)")
    resources = sum(layer.get("resources", 0) for layer in layers.values())
    return {"stack": "local", "started": started, "writes": writes, "resources": resources, "image": digest,
            "layers": layers, "queues_started": started_queues, "seconds": seconds}  # fmt: skip


def _processes_alone(here: place.Local, rollout: Rollout, out: Output, seconds: float) -> dict[str, Any]:
    """After a restart of the machine: everything runs again as it was deployed, and nothing else was done."""
    out.say(f"\n[bold]the processes run again, nothing was deployed[/bold]: {under_way.said(here, rollout)}")
    out.say(f"  {under_way.ways(here)}")
    return {"stack": "local", "started": True, "writes": 0, "resources": 0, "image": None, "layers": {},
            "queues_started": [], "seconds": seconds, "not_deployed": under_way.said(here, rollout)}  # fmt: skip


@dataclass(frozen=True)
class Fresh:
    """The queues that `up` has made and not started yet, by name, on disk: an `up` that is cut short goes on there."""

    home: Home

    def names(self) -> list[str]:
        """All of them."""
        return list(self.home.read(FRESH) or [])

    def add(self, name: str) -> None:
        """One is about to be made."""
        self.home.write(FRESH, sorted({*self.names(), name}))

    def clear(self) -> None:
        """They run."""
        (self.home.path / FRESH).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Teller:
    """Tells of an engine's steps, and sees that the database is ready for the job that migrates it."""

    out: Output
    migrations: Migrations
    fresh: Fresh

    def __call__(self, event: Event) -> None:
        """A step begins, is done or has failed."""
        step = event.step
        if event.kind == "start" and step.type == QUEUE and step.op in (Op.CREATE, Op.REPLACE):
            self.fresh.add(str(step.inputs["name"]))
        self.migrations(event)
        if event.kind == "done" and step.custom and step.op not in UNTOLD:
            self.out.plain(f"    {step.op:<8} {step.type.split(':')[-1]:<18} {step.name}", style="dim")


def apply(
    home: Home, ports: Ports, layer: str, digest: str, tell: _Teller, *, straight: bool = False
) -> dict[str, Any]:
    """Deploy one layer by the local engine; what was planned a moment ago straight."""
    try:
        result = local_engine.run(
            layer,
            root=ROOT,
            mode="up",
            state_dir=home.folder("engine"),
            ports=local_engine.Ports(**asdict(ports)),
            overrides=identity.overrides(home, ports, digest, layer),
            straight=straight,
            on_event=tell,
        )
    except local_engine.StateBusyError as error:
        raise OpsError(
            str(error), why="two deployments of one stack would undo each other", fix="run ./sluice up again after it"
        ) from error
    except local_engine.EngineError as error:
        raise OpsError(str(error)) from error
    if not result.ok:
        raise DeployFailed(result)
    tell.out.step(f"layer {layer}", local_engine.totals(result))
    return {"writes": result.writes, "reads": result.reads, "counts": result.counts, "outputs": result.outputs,
            "resources": sum(result.counts.values())}  # fmt: skip


def app_layer(home: Home, out: Output, digest: str) -> dict[str, Any]:
    """Deploy the layer that a release changes, alone; the services' image is this one but where config says another."""
    ports = home.choose_ports()
    stored = [name for name, service in specs.load("local").services.items() if service.database]
    teller = _Teller(out, Migrations(LocalCloud(home), out, stored), Fresh(home))
    return apply(home, ports, identity.LAYERS[-1], digest, teller, straight=True)


def start_queues(home: Home, system: spec.System, out: Output) -> list[str]:
    """Start what this `up`, or one before that was cut short, made; a queue that somebody paused is none of them."""
    fresh = Fresh(home)
    names = [name for name in fresh.names() if name in system.queues]
    if names:
        calls = Calls(place.here(home))
        meant = start.chosen(calls, system, names, every=False)
        done = start.start(calls, system, meant, probe=True, again="./sluice up", tell=out.progress)
        out.step("queues started", f"{len(done.resumed)}, each hop was let through")
    fresh.clear()
    return names


def register_image(cloud: LocalCloud, digest: str, folder: Path) -> None:
    """Tell the local cloud which folder an image's digest stands for."""
    manifest = {"digest": digest, "root": str(folder), "entry": image.ENTRY, "preload": image.PRELOAD}
    rest.call("POST", f"{cloud.rest}/_sluice/images", manifest)


def add_secrets(home: Home, cloud: LocalCloud, out: Output) -> int:
    """Add the first version of each secret that has none; how many were added."""
    rpc = control.children(home)["sandbox"]["said"]["rpc"]
    values = material.with_sandbox(material.load(home), rpc, f"http://127.0.0.1:{cloud.ports.sandbox}")
    added = versions.add_missing(cloud, identity.of_local_stack().project, values)
    if added:
        out.step("secrets have their first versions", ", ".join(added))
    return len(added)
