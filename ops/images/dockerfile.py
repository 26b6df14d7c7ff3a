"""What service_code/Dockerfile says of the image that it makes: environment, user, folder, entry point and labels.

The Dockerfile is the one place for these: `docker build` and `sluice image build` both read them there. Owns the few
instructions that the last stage uses and refuses every other one, which would have an effect here that nobody made.
Source: https://docs.docker.com/reference/dockerfile/.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from ops.errors import OpsError

PATH = "service_code/Dockerfile"
#: What a base has by itself where its configuration says nothing.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(kw_only=True)
class Description:
    """The last stage of a Dockerfile."""

    env: dict[str, str] = field(default_factory=lambda: {"PATH": SYSTEM_PATH})
    labels: dict[str, str] = field(default_factory=dict)
    user: str = ""
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    #: (from which stage, what, where to) of every COPY.
    copied: list[tuple[str, str, str]] = field(default_factory=list)

    def config(self) -> dict[str, Any]:
        """As an image's configuration says it."""
        return {
            "Entrypoint": self.entrypoint,
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "User": self.user,
            "WorkingDir": self.folder,
        }


def read(text: str, env: dict[str, str] | None = None) -> Description:
    """The last stage; its environment begins with the base's."""
    found = Description()
    found.env |= env or {}
    for number, line in _instructions(text):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found = Description()
            found.env |= env or {}
            continue
        _apply(found, word, rest.strip(), number)
    if not found.user or found.user.split(":")[0] in ("0", "root"):
        raise OpsError(
            f"{PATH} ends without a user of its own",
            why="the services would run as root",
            fix="USER 10001 before ENTRYPOINT",
        )
    return found


def _instructions(text: str) -> list[tuple[int, str]]:
    """Each instruction with the number of its first line: comments gone, continued lines joined."""
    found: list[tuple[int, str]] = []
    open_line = ""
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        first = first if open_line else number
        open_line += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            found.append((first, open_line.strip()))
            open_line = ""
    return found


def _apply(found: Description, word: str, rest: str, number: int) -> None:
    if word in ("ENV", "LABEL"):
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            if word == "LABEL":
                found.labels[name] = value
            else:
                found.env[name] = re.sub(
                    r"\$\{?(\w+)\}?", lambda match: found.env.get(match[1], ""), value
                )  # as docker does: by what was said before
    elif word == "USER":
        found.user = rest
    elif word == "WORKDIR":
        found.folder = rest
    elif word == "ENTRYPOINT":
        found.entrypoint = json.loads(rest)
    elif word == "COPY":
        *options, what, where = rest.split()
        stage = next((one.removeprefix("--from=") for one in options if one.startswith("--from=")), "")
        found.copied.append((stage, what, where))
    elif word not in ("RUN", "ARG"):  # RUN makes files: which, the tests of both ways compare
        raise OpsError(
            f"{PATH}:{number}: {word} has no meaning for `sluice image build`",
            why="the image that it makes would differ from docker's",
            fix=f"say it otherwise, or teach ops/images/dockerfile.py what {word} does",
        )
