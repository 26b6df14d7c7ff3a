"""The options of `sluice rollout` that its verbs have alone, and the help of verbs that takes more than a line."""

from __future__ import annotations

from typing import Annotated

import typer

Every = Annotated[
    str,
    typer.Option(
        "--every", metavar="TIME", help="How often to look, such as 30s; by default 1s locally, 15s on Google Cloud."
    ),
]
Image = Annotated[
    str,
    typer.Option(
        "--image",
        metavar="DIGEST",
        help="The release's image, sha256:...; else the stack's, locally the code at hand.",
    ),
]
Steps = Annotated[
    str,
    typer.Option(
        "--steps", metavar="N,N,...", help="The shares in per cent, rising to 100; by default 10,25,50,75,90,100."
    ),
]
Dwell = Annotated[
    str,
    typer.Option(
        "--dwell",
        metavar="TIME",
        help="How long each share stands at least, such as 30m; by default 48h the first, 24h the others.",
    ),
]
To = Annotated[
    int,
    typer.Option(
        "--to", metavar="N", show_default=False, help="The share in per cent; the next step where none is named."
    ),
]

START = """Begin, and walk in the foreground; Ctrl-C leaves it as it stands.

What is not given here is as sluice:rollout of the stack's config has it, or else: shares of 10,25,50,75,90,100 %; 48h
at the first and 24h at each other; 50 samples a step at least; metrics count once they are 180s old. --dry-run shows
when which share would be reached. Exit 0 where it is promoted or aborted in the end, 1 where it is rolled back or
another has taken it over.
"""
PROMOTE = """Take the next step now, whatever gates and dwell say.

The gates still look at the new share. From 100 % there is no next step: the rollout ends there, and what was tried is
stable.
"""
ABORT = """Take it back without calling it bad; it may be started again.

A route goes back to the share that it began at, a release to 0 %. `sluice rollback` takes a route to 0 % instead.
"""
