"""The digest in a stack's config: one value in one line of stacks/Pulumi.STACK.yaml, everything else as it was."""

from __future__ import annotations

import re
from pathlib import Path

from ops.errors import BadUsage

KEY = "sluice:imageDigest"


def pin(root: Path, stack: str, digest: str) -> Path:
    """Write it, where the stack has such a line; the file."""
    path = file_of(root, stack)
    text = path.read_bytes().decode()
    path.write_bytes(_LINE.sub(rf"\g<1>{digest}\g<3>", text, count=1).encode())
    return path


def file_of(root: Path, stack: str) -> Path:
    """The stack's file; refused where it has no digest to be written, before anything is built for it."""
    path = root / "stacks" / f"Pulumi.{stack}.yaml"
    known = sorted(p.name.removeprefix("Pulumi.").removesuffix(".yaml") for p in path.parent.glob("Pulumi.*.yaml")
                   if _LINE.search(p.read_text()))  # fmt: skip
    if stack not in known:
        raise BadUsage(
            f"no line `{KEY}: ...` stands in stacks/Pulumi.{stack}.yaml",
            why=f"the digest would be written there; stacks that have one: {', '.join(known)}",
            fix=f"name one of them, or add the line under `config:` ({KEY}: sha256:{'0' * 8}...)",
        )
    return path


_LINE = re.compile(
    rf"^([ \t]+[\"']?{KEY}[\"']?:[ \t]*)([\"']?sha256:[0-9a-f]+[\"']?)([ \t]*(?:#.*)?\r?)$", re.MULTILINE
)
