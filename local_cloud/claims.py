"""Whose a state directory is: names in it, and tokens under way, are one project's.

Owns `cloud.json` in the directory, which also saves giving the same names again at the next start.
"""

import json
from pathlib import Path

from local_cloud.settings import Settings

FILE = "cloud.json"


def kept(directory: Path) -> dict[str, str]:
    """The names under which this state was last run: project, project_number, location; empty for a new one."""
    try:
        found = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return {}
    names = ("project", "project_number", "location")
    return {name: found[name] for name in names if isinstance(found.get(name), str)} if isinstance(found, dict) else {}


def claim(settings: Settings) -> None:
    """Write down whose it is; StateError where it is another project's. The caller holds the directory."""
    from local_cloud.store import StateError  # late: the command line, which reads `kept`, starts without a store

    owner = kept(settings.state).get("project", settings.project)
    if owner != settings.project:
        raise StateError(
            f"{settings.state} is the state of project {owner}, and this cloud is to be {settings.project}'s: "
            f"start it with --project {owner}, or give another --state."
        )
    names = {
        "project": settings.project,
        "project_number": settings.project_number,
        "location": settings.location,
    }
    if names != kept(settings.state):
        draft = settings.state / f"{FILE}.new"
        draft.write_text(json.dumps(names))
        draft.replace(settings.state / FILE)
