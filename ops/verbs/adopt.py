"""`sluice adopt`: takes over what was made by hand, as it stands, and shows that nothing would change.

Reads the project over REST; writes a folder: the verbatim entries, the import file, drafts of specs and a report, first
beside the folder, and there only when a preview could be made. No secret's data is read, and nothing in the cloud is
written.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import local_engine
import spec
from local_engine import estate as estates
from local_engine.resource_type import Defaults
from ops import clouds, project_cloud
from ops.adopt import entries, held, proposals, report, write
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.specs import SpecsRefused
from spec.stack import FOUNDATION_PREFIX

#: Why somebody may hold a role, until a person says more.
WHY = "held it when the project was taken over"
#: Not everything could be looked at.
INCOMPLETE = 2
#: The stack of a local cloud.
LOCAL: Final = "local"
_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,62}[a-z0-9])?")
#: What says that a region is one of the project's.
_REGIONAL: Final = (
    "gcp:cloudtasks/queue:Queue",
    "gcp:cloudrunv2/service:Service",
    "gcp:cloudrunv2/job:Job",
    "gcp:cloudscheduler/job:Job",
)

ABOUT = """Take over what was made by hand: imports, drafts of specs.

Exit 1 where the preview after the import would change something, 2 where not everything could be looked at.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("adopt", help=ABOUT)(adopt)


def adopt(
    *,
    project: Annotated[str, typer.Option("--project", help="The project's id.")],
    to: Annotated[Path | None, typer.Option("--to", help="The folder to write; adopted-PROJECT if left out.")] = None,
    stack: Annotated[str, typer.Option("--stack", help="The stack's name; prod, or local for a local cloud.")] = "",
    region: Annotated[list[str] | None, typer.Option("--region", help="Where to look; may be repeated.")] = None,
    cloud: Annotated[
        str, typer.Option("--cloud", envvar="SLUICE_CLOUD", metavar="URL", help="A local cloud instead of Google.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over what an earlier run has written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Exit 0 where a preview of what was written changes nothing, 1 where it does, 2 where not all could be seen."""
    out = Output(as_json=as_json)
    folder = (to or Path(f"adopted-{project}")).resolve()
    name, regions = _stack(stack, local=bool(cloud)), list(dict.fromkeys(region or ["us-central1"]))
    cloud = clouds.find(cloud).rest if cloud else ""
    reached = project_cloud.local(cloud) if cloud else project_cloud.google(name)
    number = project_cloud.number_of(reached, project)
    write.refuse_to_overwrite(folder, name, project, force=force)
    found = estates.look(reached, [Defaults(project, one) for one in regions])
    if not found.things and found.unseen:
        raise OpsError(
            f"nothing of {project} could be looked at\n" + "\n".join(found.unseen), fix="roles/viewer lets you"
        )
    empty = _empty(reached, found, project, regions)
    taken = entries.taken(found, project, number)
    drafted = list(proposals.drafts(found))
    text = report.text(project, name, found, taken, len(drafted))
    config = _config(project, regions[0], number, cloud)
    file = entries.import_file(taken, list(entries.walk(taken.entries)))

    def written(place: Path) -> Path:
        write.project(place)
        for layer in (f"foundation-{name}", name):
            write.stack_file(place, layer, config | (_people(taken.people) if layer == name else {}))
        write.entries(place, name, taken.entries)
        held.write(place, name, taken.held)
        write.drafts(place, drafted)
        (place / write.REPORT).write_text(text)
        return write.import_file(place, name, file)

    shown = _tried(folder, written, lambda place: _previewed(place, name, file, reached))
    path = written(folder)
    _found(out, folder, found, taken)
    for one in empty:
        out.plain(f"0 queues and 0 services in {one}: is that the region?", style="yellow")
    _end(out, folder, path, shown)
    out.result(
        {
            "folder": str(folder),
            "stack": name,
            "import_file": str(path),
            "entries": sorted(taken.entries),
            "resources": len(file["resources"]),
            "drafts": len(drafted),
            "held_back": [{"what": one.what, "why": one.why, "fix": one.fix} for one in taken.held],
            "empty_regions": empty,
            "disabled_apis": found.disabled,
            "not_seen": found.unseen,
            "preview": shown.as_json(),
        }
    )
    if found.unseen:
        raise typer.Exit(INCOMPLETE)
    if shown.changed:
        raise typer.Exit(1)


def _stack(asked: str, *, local: bool) -> str:
    """The stack's name; BadUsage where it is none, or another than the cloud's."""
    name = asked or (LOCAL if local else "prod")
    if not _NAME.fullmatch(name) or name.startswith(FOUNDATION_PREFIX):
        raise BadUsage(f"{name!r} is no name of a stack", fix="lower case, digits, hyphens: dev, staging, prod")
    if local and name != LOCAL:
        raise BadUsage(f"a local cloud is adopted as --stack {LOCAL}, not {name}", fix="leave --stack out")
    if name == LOCAL and not local:
        raise BadUsage(f"--stack {LOCAL} is a local cloud's", fix="name the cloud with --cloud URL, or another stack")
    return name


def _empty(cloud: local_engine.Cloud, found: estates.Estate, project: str, regions: Sequence[str]) -> list[str]:
    """The regions without a queue and a service; OpsError for one that Cloud Tasks does not know."""
    things = [thing for token in _REGIONAL for thing in found.of(token)]
    of = {thing.inputs.get("location") or thing.inputs.get("region") for thing in things}
    empty = [one for one in regions if one not in of]
    if not empty:
        return []
    try:
        listed = cloud.pages("cloudTasks", f"projects/{project}/locations", "locations")
        known = sorted(str(one["locationId"]) for one in listed)
    except (local_engine.EngineError, KeyError):
        return empty  # where the API is off, it is only said
    for one in empty:
        if known and one not in known:
            fix = f"name one of {', '.join(known)}"
            raise OpsError(f"there is no region {one}", why="nothing stands there, and nothing was written", fix=fix)
    return empty


def _tried(
    folder: Path, written: Callable[[Path], Path], previewed: Callable[[Path], local_engine.Result]
) -> local_engine.Result:
    """The preview of a folder as it would be; OpsError, and nothing written, where none can be made."""
    with tempfile.TemporaryDirectory(prefix="sluice-adopt-") as temporary:
        draft = write.copied(folder, Path(temporary) / "draft")
        written(draft)
        way = "adopt into a folder of its own (--to FOLDER), and move entry by entry: docs/migrate.md"
        try:
            shown = previewed(draft)
        except spec.SpecErrors as error:
            refused = SpecsRefused(error, f" where {folder} has what was found besides its own; nothing was written")
            refused.fix = way
            raise refused from error
        except local_engine.EngineError as error:
            raise OpsError(f"{error}; nothing was written", fix=way) from error
    if not shown.ok:
        told = "\n".join(str(one) for one in shown.problems)
        raise OpsError(f"what was found cannot be previewed, and nothing was written\n{told}", fix=way)
    return shown


def _config(project: str, region: str, number: str, cloud: str) -> dict[str, Any]:
    """The config of the stack: where it is, and for a local cloud where that answers."""
    known = {"gcp:project": project, "gcp:region": region, "sluice:projectNumber": number}
    local = {
        **project_cloud.endpoints(cloud),
        "sluice:protect": False,
        "sluice:serviceUrl": f"{cloud.rstrip('/')}/run/{{label}}.{{region}}",
    }
    return known | (local if cloud else {})


def _people(found: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Who was let in by hand, as the stack lists them; a person says why, or takes the role away."""
    listed = {who: {"roles": sorted(set(roles)), "why": WHY} for who, roles in sorted(found.items())}
    return {"sluice:people": listed} if listed else {}


def _previewed(folder: Path, stack: str, file: dict[str, Any], cloud: local_engine.Cloud) -> local_engine.Result:
    """Import into a state that is thrown away, and preview: what the same two steps will do for good."""
    with tempfile.TemporaryDirectory(prefix="sluice-adopt-") as place:
        state = Path(place)
        looker = local_engine.Looker(stack=stack, root=folder, cloud=cloud)
        imported = looker.taken(entries.ids_of(file), state)
        if imported.problems:
            return imported
        return local_engine.run(stack, root=folder, mode="preview", state_dir=state)


def _found(out: Output, folder: Path, found: estates.Estate, taken: entries.Taken) -> None:
    out.step(f"{counted(len(found.things), 'resource')} found, {len(taken.entries)} entries written", str(folder))
    for api in found.disabled:
        out.plain(f"not enabled, so that nothing stands there: {api}", style="dim")
    for unseen in found.unseen:
        out.plain(f"could not be looked at: {unseen}", style="yellow")
    for one in taken.held:
        out.refusal(f"held back: {one.what}", one.why)


def _end(out: Output, folder: Path, path: Path, shown: local_engine.Result) -> None:
    out.plain(f"import file: {path}")
    out.plain(f"report:      {folder / write.REPORT}\n")
    out.plain(local_engine.render(shown))
    if not shown.changed:
        out.step("a preview after the import changes nothing")
