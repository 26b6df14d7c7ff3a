"""`sluice image`: make the services' image from a commit, without a Docker engine, and push it; and, on a local cloud,
say which folder of code an image's name or digest stands for.

Owns the words of the command line; ops/images/ makes, writes and sends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops import clouds
from ops.clouds import WhichCloud
from ops.errors import BadUsage
from ops.home import ROOT
from ops.output import Output

if TYPE_CHECKING:
    from ops.images.layout import Artifact

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
Pin = Annotated[str, typer.Option(metavar="STACK", help="Write the digest into stacks/Pulumi.STACK.yaml.")]
Repository = Annotated[str, typer.Argument(metavar="HOST/NAME[:TAG]", help="Where to; the tag is else the commit's.")]

#: Where an image is written unless it is said.
OUTPUT = Path("dist/image")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The services' image; and images' code on a local cloud.", no_args_is_help=True,
                        rich_markup_mode=None)  # fmt: skip
    group.command("build", help="Make the services' image from a commit, as an OCI image layout.")(build)
    group.command("push", help="Send an image that was built to a registry, with its bill of materials.")(push)
    group.command("lock", help="Lock the base anew: the newest versions of its packages that apt knows.")(lock)
    group.command("add", help="Register a folder of Python code as an image, to be deployed by its name.")(add)
    group.command("list", help="The images that are known, and where their code lies.")(list_)
    app.add_typer(group, name="image")


def build(
    *,
    commit: Annotated[str, typer.Option(help="Which; otherwise HEAD, with nothing edited since.")] = "",
    output: Annotated[
        Path | None, typer.Option(help=f"A folder, or a .tar. [{OUTPUT} where nothing is pushed]", show_default=False)
    ] = None,
    base: Annotated[str, typer.Option(metavar="HOST/NAME@DIGEST", help="Instead of service_code/base.lock.")] = "",
    push: Annotated[str, typer.Option(metavar="HOST/NAME[:TAG]", help="Send it there as well.")] = "",
    pin: Pin = "",
    mirror: Annotated[str, typer.Option(envvar="SLUICE_DEBIAN", help="Debian's archives, {archive} in it.")] = "",
    bytecode: Annotated[bool, typer.Option(help="Compile modules; needs Linux on amd64.")] = True,
    fresh: Annotated[bool, typer.Option(help="Make layers anew that are kept from an earlier build.")] = False,
    as_json: Json = False,
) -> None:
    """Make it, write it, send it."""
    from ops.images import bytecode as compiling
    from ops.images import commit as commits
    from ops.images import foreign, layout, report, tree
    from ops.images.build import Builder
    from ops.images.pin import file_of
    from ops.images.registry import Reference

    out = Output(as_json=as_json)
    if push:
        Reference.parse(push)
    if pin:
        file_of(ROOT, pin)
    if bytecode and not compiling.possible():
        raise BadUsage(
            "modules cannot be compiled on this machine",
            why="the image's own Python compiles them, which is a program for Linux on amd64",
            fix="build there (CI is), or build an image that starts a second slower, of another digest: --no-bytecode",
        )
    if not tree.packs_as_zlib():
        out.say(
            "[yellow]this machine's zlib packs otherwise than zlib itself: the same content, another digest[/yellow]"
        )
    place = output or (None if push else OUTPUT)
    if place is not None:
        layout.check(place)
    found = commits.find(ROOT, commit)
    builder = Builder(say=out.progress, compiles=bytecode, fresh=fresh, mirror=mirror)
    built = builder.build(found, foreign.base(base, out.progress) if base else builder.base(found))
    report.show(out, built)
    value = {**report.value(built), "output": None, "sbom": None}
    if place is not None:
        layout.write(place, [built.image, built.attached])
        bill = place.with_name(f"{place.name}.spdx.json")
        bill.write_bytes(built.bill)
        out.step(f"{place}", f"with its bill of materials in {bill}")
        value |= {"output": str(place), "sbom": str(bill)}
    if push:
        value |= _send(out, [built.image, built.attached], push)
    out.result(value | _pin(out, pin, built.image.digest))


def push(
    layout: Annotated[Path, typer.Argument(help="What `build --output` wrote.")],
    repository: Repository,
    *,
    pin: Pin = "",
    as_json: Json = False,
) -> None:
    """Send it."""
    from ops.images import layout as layouts
    from ops.images.pin import file_of

    if pin:
        file_of(ROOT, pin)
    out = Output(as_json=as_json)
    artifacts = layouts.read(layout)
    digest = artifacts[0].digest
    out.result({"digest": digest} | _send(out, artifacts, repository) | _pin(out, pin, digest))


def _send(out: Output, artifacts: list[Artifact], repository: str) -> dict[str, Any]:
    """Push the image by its tag, and what is about it; where it is then."""
    import json

    from ops.images.registry import Reference, Registry

    reference = Reference.parse(repository)
    registry = Registry(reference=reference, say=out.progress)
    image, *about = artifacts
    revision = json.loads(image.manifest).get("annotations", {}).get("org.opencontainers.image.revision", "")
    tag = reference.tag or revision[:12]
    registry.push(image, tag)
    for one in about:  # with a tag of its own, or the registry's clean-up would take it for a push that failed
        registry.push(one, f"{tag}.bom" if tag else "")
    name = f"{reference.path}@{image.digest}"
    out.step(name, f"tag {tag}" if tag else "")
    return {"image": name, "tag": tag}


def _pin(out: Output, stack: str, digest: str) -> dict[str, Any]:
    """Write the digest into a stack's config."""
    from ops.images import pin

    if not stack:
        return {"pinned": None}
    path = pin.pin(ROOT, stack, digest).relative_to(ROOT)
    out.step(f"{path} names it", f"pulumi up --stack {stack} deploys it")
    return {"pinned": str(path)}


def lock(*, as_json: Json = False) -> None:
    """Write service_code/base.lock."""
    from ops.images import archives, debian

    out = Output(as_json=as_json)
    path = ROOT / debian.LOCK
    old = path.read_text()
    names = [package.name for package in debian.read_lock(old)]
    head = "".join(line for line in old.splitlines(keepends=True) if line.startswith("#"))
    today = f"{datetime.now(UTC):%Y%m%d}T235959Z"  # snapshots are named by when they were made: the day's last one
    new = head + debian.locked(sorted(names), archives.in_apt, today)
    path.write_text(new)
    before = {p.name: p.version for p in debian.read_lock(old)}
    changed = [p for p in debian.read_lock(new) if before[p.name] != p.version]
    for one in changed:
        out.plain(f"{one.name} {before[one.name]} -> {one.version}")
    out.step(f"{debian.LOCK}: {len(names)} packages, {len(changed)} of them newer")
    out.result({"packages": len(names), "changed": {one.name: one.version for one in changed}})


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
