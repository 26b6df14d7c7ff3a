"""Whose a state directory is: names in it, and tokens under way, are one project's.

Owns what makes a directory a state, and `cloud.json` in it, which also saves giving the same names again at the next
start.
"""

import json
from pathlib import Path

from local_cloud.settings import Settings

FILE = "cloud.json"

#: Either of these makes a directory a state.
_STATE = {FILE, "state.db"}
#: What a cloud that ended while it began has left, and what a volume has of its own.
_HARMLESS = {"lock", "clock", "lost+found"}


def kept(directory: Path) -> dict[str, str]:
    """The names under which this state was last run: project, project_number, location; empty for a new one."""
    try:
        found = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return {}
    names = ("project", "project_number", "location")
    return {name: found[name] for name in names if isinstance(found.get(name), str)} if isinstance(found, dict) else {}


def strangers(directory: Path) -> list[str]:
    """What lies in a directory that is no state: its names, sorted; empty for a state, and where one can be begun."""
    try:
        names = {path.name for path in directory.iterdir()}
    except OSError:  # it is not there yet; or it cannot be used, which the store says
        return []
    if names & _STATE:
        return []
    return sorted(name for name in names - _HARMLESS if not name.startswith("."))


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
