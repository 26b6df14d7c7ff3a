"""What a build says at its end: sizes for people, one value for programs."""

from __future__ import annotations

from typing import Any

from ops.images.build import Built
from ops.output import Output


def value(built: Built) -> dict[str, Any]:
    """The facts of an image."""
    return {
        "digest": built.image.digest,
        "sbom_digest": built.attached.digest,
        "commit": built.commit.name,
        "created": built.commit.created,
        "size": sum(len(one.data) for one in built.layers),
        "unpacked": sum(one.unpacked for one in built.layers),
        "layers": [
            {"name": one.name, "diff_id": one.diff_id, "size": len(one.data), "unpacked": one.unpacked}
            for one in built.layers
        ],
    }


def show(out: Output, built: Built) -> None:
    """The layers and the digest."""
    rows = [[one.name, _mb(len(one.data)), _mb(one.unpacked), one.diff_id[7:19]] for one in built.layers]
    total = ["image", _mb(sum(len(one.data) for one in built.layers)), _mb(sum(one.unpacked for one in built.layers))]
    out.table(["layer", "packed", "unpacked", "content"], [*rows, [*total, ""]])
    out.step(f"commit {built.commit.name[:12]} is {built.image.digest}")


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
