"""`sluice image`: say which folder of code an image's name or digest stands for on a local cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ops import clouds
from ops.clouds import WhichCloud
from ops.errors import BadUsage
from ops.output import Output

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The code behind images, on a local cloud.", no_args_is_help=True, rich_markup_mode=None)
    group.command("add", help="Register a folder of Python code as an image, to be deployed by its name.")(add)
    group.command("list", help="The images that are known, and where their code lies.")(list_)
    app.add_typer(group, name="image")


def add(
    name: Annotated[str, typer.Argument(help="As deployments name it: `hello`, `.../hello:v1`, or sha256:...")],
    *,
    root: Annotated[Path, typer.Option(help="The folder with the code; its processes run there.")],
    entry: Annotated[str, typer.Option(help="What starts it: module:function, or a module as `python -m` runs it.")],
    preload: Annotated[str, typer.Option(help="Modules to import once for all instances: m1,m2.")] = "",
    which: WhichCloud = "",
    as_json: Json = False,
) -> None:
    """Register it; the next deployment takes what is registered then."""
    if not root.is_dir():
        raise BadUsage(
            f"there is no folder `{root}`",
            why="an image is a folder of code here",
            fix="name the folder from which `import` finds the entry's module",
        )
    out = Output(as_json=as_json)
    modules = [module.strip() for module in preload.split(",") if module.strip()]
    manifest = {"digest": name.rpartition("@")[2], "root": str(root.resolve()), "entry": entry, "preload": modules}
    value = clouds.find(which).admin("POST", "images", manifest)
    out.step(f"{value['digest']} is {value['entry']} in {value['root']}")
    out.plain(f"  deploy it: gcloud run deploy SERVICE --image={name}")
    out.result(value)


def list_(*, which: WhichCloud = "", as_json: Json = False) -> None:
    """Print them."""
    out = Output(as_json=as_json)
    value: dict[str, Any] = clouds.find(which).admin("GET", "images")
    rows = [[one["digest"], one["root"], one["entry"], ", ".join(one["preload"])] for one in value["images"]]
    if rows:
        out.table(["image", "root", "entry", "preload"], rows)
    else:
        out.say("no image is registered: ./sluice image add NAME --root DIR --entry module:function")
    out.result(value)
