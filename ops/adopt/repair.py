"""The commands that take a secret out of the plain text of something that was held back, in an order that holds.

The new value is in Secret Manager, and the account that runs the thing may read it, before the variable goes: one
update takes the plain variable away and puts the reference in its place, so that no revision is without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_engine.estate import Thing

_SERVICE: Final = "gcp:cloudrunv2/service:Service"
_JOB: Final = "gcp:cloudrunv2/job:Job"
_KINDS: Final[Mapping[str, str]] = {_SERVICE: "services", _JOB: "jobs"}
_VARIABLE: Final = re.compile(r"\.envs\[(?P<name>[^\]]+)\]")
_ELSE: Final = "put it into Secret Manager, make a new version of it (this one is known), and adopt again with --force"


def commands(thing: Thing, plain: Sequence[str]) -> str:
    """What to type, for all places of a thing where a secret stands in plain text."""
    found = {place: match["name"] for place in plain if (match := _VARIABLE.search(place))}
    template = _template(thing)
    if thing.type not in _KINDS or not found or len(template.get("containers", ())) != 1:
        return _ELSE
    project, region = str(thing.inputs["project"]), str(thing.inputs["location"])
    names = list(dict.fromkeys(found.values()))
    account = template.get("serviceAccount") or (
        f"$(gcloud projects describe {project} --format='value(projectNumber)')-compute@developer.gserviceaccount.com"
    )
    lines = [
        "# FILE holds a new value, since this one is known, and no end of line. Where the secret is there already, use",
        "# `gcloud secrets versions add NAME --data-file=FILE`, and write that version instead of 1 below",
    ]
    for name in names:
        lines += [
            f"gcloud secrets create {name} --project={project} --replication-policy=automatic --data-file=FILE",
            f"gcloud secrets add-iam-policy-binding {name} --project={project} "
            f'--role=roles/secretmanager.secretAccessor --member="serviceAccount:{account}"',
        ]
    lines.append(
        f"gcloud run {_KINDS[thing.type]} update {thing.name} --project={project} --region={region} "
        f"--remove-env-vars={','.join(names)} --update-secrets={','.join(f'{name}={name}:1' for name in names)}"
    )
    others = [place for place in plain if place not in found]
    lines += [f"# by hand as well: {place}" for place in others]
    return "\n".join([*lines, "# then adopt again with --force"])


def _template(thing: Thing) -> Mapping[str, Any]:
    template: Mapping[str, Any] = thing.inputs.get("template", {})
    inner: Mapping[str, Any] = template.get("template", {}) if thing.type == _JOB else template
    return inner
