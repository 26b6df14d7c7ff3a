"""Config and state after a share: stack config written, and the apply of the record, one service and its migrations.

On this machine the layer is applied by the local engine, which finds nothing else to do; at Google `pulumi up` is told
the targets, and where the CLI is missing the command is said. Owns also what a template would be called; which image
the other services run, which an apply must not change, is images.py's.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import local_engine
from ops import stack_config
from ops.cloud import LocalCloud
from ops.errors import OpsError
from ops.home import ROOT
from ops.output import Output
from ops.place import Local, Place
from ops.rollout import images
from ops.rollout.effects import ByHand
from ops.rollout.written import ROLES, Written
from ops.stack import deploy, identity, image
from spec import names
from spec.rollout import RELEASES

#: Where the record and a service stand among the resources.
RECORD_TYPE, SERVICE_TYPE = "gcp:storage/bucketObject:BucketObject", "gcp:cloudrunv2/service:Service"
#: The migrations are those of the release that is tried, and before it: they come with it, and go back with it.
JOB_TYPE = "gcp:cloudrunv2/job:Job"
RECORD_NAME = "rollout-record"


class NotApplied(OpsError):
    """What is in force was not brought into the state; everything else was done."""


def configure(place: Place, change: Written) -> None:
    """Write it into the stack's config, or into the overlay of this machine's stack."""
    gone = [f"{key}/{name}" for key, named in change.nested().items() for name, value in named.items() if value is None]
    gone += [
        f"{RELEASES}/{name}/{role}"
        for name, entry in change.releases.items()
        if entry is not None
        for role in ROLES
        if role not in entry
    ]
    kept = {
        key: {name: value for name, value in named.items() if value is not None}
        for key, named in change.nested().items()
    }
    home = place.home if isinstance(place, Local) else None
    stack_config.change(place.stack, {key: named for key, named in kept.items() if named}, gone, home=home)


def apply(place: Place, out: Output, service: str | None) -> None:
    """Apply the record and, where one is named, a service."""
    bring(
        place,
        out,
        pulumi(place.stack, service),
        missing=lambda what, command: ByHand(
            f"{what}, so the state of {place.stack} is behind what is in force",
            why="the next preview would show a change, and a new revision is not deployed by anything else",
            fix=f"run this where it is, then ./sluice rollout resume --applied --stack {place.stack}: "
            f"{shlex.join(unheld(place))} && {command}",
        ),
        failed=lambda what: NotApplied(
            f"{what}: the state of {place.stack} is behind what is in force",
            why="the next preview would show a change",
            fix=f"mend what it says, then ./sluice rollout resume --stack {place.stack}",
        ),
    )


def bring(
    place: Place,
    out: Output,
    command: list[str],
    *,
    missing: Callable[[str, str], OpsError],
    failed: Callable[[str], OpsError],
) -> None:
    """Run a command of Pulumi; on this machine apply the layer, of which nothing else differs.

    `missing` makes the error where the CLI is not there, of that and the command; `failed` where it has not done it.
    """
    if isinstance(place, Local):
        assert place.home is not None
        deploy.app_layer(place.home, out, images.base(place))
        return
    if shutil.which("pulumi") is None:
        raise missing("the Pulumi CLI is not on the PATH", shlex.join(command))
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        raise failed(f"pulumi ended with {done.returncode}")


def unheld(place: Place) -> list[str]:
    """The command that lets somebody else's apply write the record; the rollout holds it again when it goes on."""
    record = f"gs://{names.rollout_bucket(place.project)}/{names.RECORD_OBJECT}"
    return ["gcloud", "storage", "objects", "update", record, "--no-temporary-hold"]


def pulumi(stack: str, service: str | None) -> list[str]:
    """The command that applies the record and, where one is named, a service."""
    targets = [f"{RECORD_TYPE}::{RECORD_NAME}"]
    if service:
        targets += [f"{JOB_TYPE}::{names.MIGRATION_JOB}", f"{SERVICE_TYPE}::{service}"]
    return targeted(stack, targets)


def targeted(stack: str, targets: Iterable[str]) -> list[str]:
    """The command that applies these resources alone, each `TYPE::NAME`."""
    return ["pulumi", "up", "--stack", stack, "--yes", "--skip-preview", *(f"--target=**{one}" for one in targets)]


def code_at_hand(place: Place) -> str:
    """The digest of the code at hand, made known to the local cloud."""
    assert isinstance(place, Local)
    if place.home is None:
        return ""
    digest, folder = image.build(place.home)
    deploy.register_image(LocalCloud(place.home), digest, folder)
    return digest


def template_of(place: Place, service: str, entry: Mapping[str, Any], over: Mapping[str, Any] | None = None) -> str:
    """The name of the revision that the service's template would have with this entry of `sluice:releases`.

    `over` is what else the config would say.
    """
    releases = {
        name: release.model_dump(mode="json", exclude_none=True)
        for name, release in place.config.releases.items()
        if name != service
    }
    overrides: dict[str, Any] = {RELEASES: {**releases, service: dict(entry)}, **(over or {})}
    state, ports = None, None
    if isinstance(place, Local) and place.home is not None and (chosen := place.home.ports()) is not None:
        state, ports = place.home.folder("engine"), local_engine.Ports(**asdict(chosen))
        overrides = {**identity.overrides(place.home, chosen, images.base(place)), **overrides}
    try:
        plan = local_engine.run(
            place.stack, root=ROOT, mode="preview", state_dir=state, offline=True, ports=ports, overrides=overrides
        )
    except local_engine.EngineError as error:
        raise OpsError(str(error)) from error
    found = next((step for step in plan.steps if step.type == SERVICE_TYPE and step.name == service), None)
    if found is None or plan.problems:
        problems = "\n".join(f"  {problem}" for problem in plan.problems)
        raise OpsError(f"the stack {place.stack} cannot be planned with this release of {service}\n{problems}")
    return str(found.inputs["template"]["revision"])
