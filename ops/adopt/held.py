"""The list of what an adoption held back, beside its entries: by it `sluice drift` knows what is outside on purpose.

JSON, so that nobody takes it for an entry; it names things and reasons, and no value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.adopt.entries import HeldBack
from ops.errors import OpsError
from spec import files

FILE: Final = "held.json"


def write(folder: Path, stack: str, held: Sequence[HeldBack]) -> None:
    """Write the list; an empty one as well, so that what was put right is forgotten."""
    rows = [{"identity": one.identity, "what": one.what, "why": one.why} for one in held]
    place = folder / files.ADOPTED / stack
    place.mkdir(parents=True, exist_ok=True)
    (place / FILE).write_text(json.dumps({"held_back": rows}, indent=1) + "\n")


def read(folder: Path, stack: str) -> Mapping[str, str]:
    """Identity -> why it is outside; empty where nothing was taken over."""
    path = folder / files.ADOPTED / stack / FILE
    try:
        rows = json.loads(path.read_text())["held_back"]
        return {str(row["identity"]): str(row["why"]) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OpsError(f"{path} cannot be read: {error}", fix="write it anew: ./sluice adopt --force") from error
