"""`sluice adopt`: takes over what was made by hand, as it stands, and shows that nothing would change.

Reads the project over REST; writes a folder: the verbatim entries, the import file, drafts of specs and a report. No
secret's data is read, and nothing in the cloud is written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import local_engine
import spec
from local_engine import estate as estates
from local_engine.resource_type import Defaults
from ops import project_cloud
from ops.adopt import entries, proposals, report, write
from ops.errors import OpsError
from ops.output import Output, counted
from ops.specs import SpecsRefused

#: Why somebody may hold a role, until a person says more.
WHY = "held it when the project was taken over"
#: Not everything could be looked at.
INCOMPLETE = 2


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("adopt", help="Take over what was made by hand: entries, import file, drafts of specs, a report.")(
        adopt
    )


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
    name, regions = stack or ("local" if cloud else "prod"), region or ["us-central1"]
    reached = project_cloud.local(cloud) if cloud else project_cloud.google(name)
    number = project_cloud.number_of(reached, project)
    write.refuse_to_overwrite(folder, name, project, force=force)
    found = estates.look(reached, [Defaults(project, one) for one in regions])
    if not found.things and found.unseen:
        raise OpsError(
            f"nothing of {project} could be looked at\n" + "\n".join(found.unseen), fix="roles/viewer lets you"
        )
    taken = entries.taken(found, project, number)
    write.project(folder)
    for layer in (f"foundation-{name}", name):
        people = _people(taken.people) if layer == name else {}
        write.stack_file(folder, layer, _config(project, regions[0], number, cloud) | people)
    write.entries(folder, name, taken.entries)
    drafts = write.drafts(folder, proposals.drafts(found))
    (folder / write.REPORT).write_text(report.text(project, name, found, taken, drafts))
    file = entries.import_file(taken, list(entries.walk(taken.entries)))
    path = write.import_file(folder, name, file)
    shown = _previewed(folder, name, file, reached)
    _found(out, folder, found, taken)
    _end(out, folder, path, shown)
    out.result(
        {
            "folder": str(folder),
            "stack": name,
            "import_file": str(path),
            "entries": sorted(taken.entries),
            "resources": len(file["resources"]),
            "drafts": drafts,
            "held_back": [{"what": one.what, "why": one.why, "fix": one.fix} for one in taken.held],
            "disabled_apis": found.disabled,
            "not_seen": found.unseen,
            "preview": shown.as_json(),
        }
    )
    if found.unseen:
        raise typer.Exit(INCOMPLETE)
    if shown.changed or not shown.ok:
        raise typer.Exit(1)


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
        try:
            looker = local_engine.Looker(stack=stack, root=folder, cloud=cloud)
            imported = looker.taken(entries.ids_of(file), state)
            if imported.problems:
                return imported
            return local_engine.run(stack, root=folder, mode="preview", state_dir=state)
        except spec.SpecErrors as error:
            raise SpecsRefused(error, " in what was written") from error
        except local_engine.EngineError as error:
            raise OpsError(str(error)) from error


def _found(out: Output, folder: Path, found: estates.Estate, taken: entries.Taken) -> None:
    out.step(f"{counted(len(found.things), 'resource')} found, {len(taken.entries)} entries written", str(folder))
    for api in found.disabled:
        out.plain(f"not enabled, so that nothing stands there: {api}", style="dim")
    for unseen in found.unseen:
        out.plain(f"could not be looked at: {unseen}", style="yellow")
    for held in taken.held:
        out.refusal(f"held back: {held.what}", held.why)


def _end(out: Output, folder: Path, path: Path, shown: local_engine.Result) -> None:
    out.plain(f"import file: {path}")
    out.plain(f"report:      {folder / write.REPORT}\n")
    out.plain(local_engine.render(shown))
    if shown.ok and not shown.changed:
        out.step("a preview after the import changes nothing")
