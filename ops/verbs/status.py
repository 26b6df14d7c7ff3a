"""`sluice status`: what runs, where its endpoints are, what waits in the queues."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ops import stack_config
from ops.cloud import LocalCloud
from ops.home import Home
from ops.output import Output
from ops.place import Local
from ops.rollout import lock, page
from ops.rollout.store import Store
from ops.supervisor import control


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status", help="Show the local stack: services, queues, endpoints, processes.")(status)


def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False) -> None:
    """Print the state of the local stack."""
    out = Output(as_json=as_json)
    value = collect(Home.find())
    show(out, value)
    out.result(value)


def collect(home: Home) -> dict[str, Any]:
    """The state of the local stack; `rest` and `grpc` are the owner's endpoints."""
    cloud = LocalCloud(home)
    told = cloud.status()
    return {
        "stack": "local",
        "home": str(home.path),
        "overlay": [one.as_json() for one in stack_config.otherwise(home)],
        "project": told["project"],
        "location": told["location"],
        "rest": cloud.rest,
        "grpc": cloud.grpc,
        "sandbox": f"http://127.0.0.1:{cloud.ports.sandbox}",
        "services": {name: service["url"] for name, service in told["services"].items()},
        "queues": told["queues"],
        "instances": {name: service.get("instances", []) for name, service in told["services"].items()},
        "processes": control.children(home),
        "rollout": under_way(Local(cloud, home)),
    }


def under_way(place: Local) -> dict[str, Any] | None:
    """The rollout that is under way, and whether anybody looks at it."""
    found, _ = Store(place).read()
    if found is None or not found.running:
        return None
    return {"id": found.id, "said": page.line(found), "watched": lock.holder_of(place) is not None}


def show(out: Output, value: dict[str, Any]) -> None:
    """Tables for people."""
    out.say(f"[bold]{value['stack']}[/bold]  project {value['project']}, {value['location']}, state in {value['home']}")
    if value["overlay"]:
        _overlay(out, value)
    out.say(f"  REST {value['rest']}   gRPC {value['grpc']}   sandbox {value['sandbox']}\n")
    if rollout := value["rollout"]:
        out.say(f"  rollout: {rollout['said']}")
        if not rollout["watched"]:
            out.refusal(page.unwatched(value["stack"]))
        out.say()
    instances = {name: len(running) for name, running in value["instances"].items()}
    out.table(
        ["service", "instances", "URL"],
        [[name, str(instances[name]), url] for name, url in sorted(value["services"].items())],
    )
    out.say()
    out.table(
        ["queue", "state", "waiting"],
        [[name, queue["state"].lower(), str(queue["depth"])] for name, queue in sorted(value["queues"].items())],
    )
    out.say()
    out.table(
        ["process", "state", "pid", "restarts"],
        [[name, p["state"], str(p["pid"] or ""), str(p["restarts"])] for name, p in value["processes"].items()],
    )


def _overlay(out: Output, value: dict[str, Any]) -> None:
    """What this machine's stack says over the file that everybody has, and how that is taken back."""
    file = f"{value['home']}/{stack_config.OVERLAY}"
    out.plain(f"  {file} wins over stacks/Pulumi.local.yaml, for this machine alone:")
    for one in value["overlay"]:
        here, there = ("nothing" if said is None else json.dumps(said) for said in (one["overlay"], one["file"]))
        out.plain(f"    {one['key']}: {here}, in the file {there}")
    out.plain("  ./sluice rollout and ./sluice rollback move shares; any other value goes back to the file's where its")
    out.plain(
        "  lines are deleted there, with the next ./sluice up (a secret's version only while that one is enabled)"
    )
