"""The command line of `python -m local_cloud`, made from the settings' fields.

Owns what several settings mean together: a fresh or a kept state, and one project for all queues.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from local_cloud import claims, fresh
from local_cloud.settings import Settings, places_of

ABOUT = "Google Cloud on loopback, for one project: Cloud Tasks, Cloud Run, IAM and their neighbours."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is a screen full."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. ({self.prog} --help lists the options)\n")


def parse(arguments: Sequence[str] | None = None, prog: str = "python -m local_cloud") -> Settings:
    """The command line as settings; one that does not fit ends the process with its error (exit code 2)."""
    parser = _Parser(prog=prog, description=ABOUT, allow_abbrev=False)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--state", type=Path, metavar="DIR", help="keep everything in this directory, and go on from it")
    place.add_argument("--fresh", action="store_true", help="keep nothing: the state goes at the end (the default)")
    given = {made.name: made for made in fields(Settings) if "help" in made.metadata}
    for name, made in given.items():
        more = dict(made.metadata)
        kind, flags = _checked(more.pop("type")), more.pop("flags") or (f"--{name.replace('_', '-')}",)
        if made.default not in ("", (), 0):
            more["help"] += f" ({made.default})"
        more |= {"default": None} if more.get("action") == "store_true" else {"type": kind}
        parser.add_argument(*flags, dest=name, **more)
    said = vars(parser.parse_args(arguments))
    if said["state"] and (foreign := claims.strangers(said["state"])):
        beside = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        parser.error(
            f"--state {said['state']} is a directory of something else: it has {', '.join(foreign[:3])}{beside} "
            "in it, and neither cloud.json nor state.db; give a new or empty directory, or one of a local cloud"
        )
    projects, locations = places_of(said["queues"] or ())
    values = {
        **{name: made.default for name, made in given.items()},
        **({"project": projects[0]} if len(projects) == 1 else {}),
        **({"location": locations[0]} if len(locations) == 1 else {}),
        **(claims.kept(said["state"]) if said["state"] else {}),
        **{name: said[name] for name in given if said[name] is not None},
    }
    values["queues"] = tuple(values["queues"])
    if others := [project for project in projects if project != values["project"]]:
        parser.error(
            f"a local cloud is one project's: this one is {values['project']}'s, and a queue names {others[0]}; "
            "start another one for that, on another port"
        )
    if said["state"] is None:
        try:
            return Settings(state=fresh.make(), fresh=True, **values)
        except OSError as error:
            parser.error(f"no temporary directory can be made ({error}); name one for the state with --state")
    return Settings(state=said["state"], **values)


def _checked(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """With the check's own words: argparse would say no more than `invalid value`."""

    def check(text: str) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check
