"""How much of a long proof a run takes: a small dose in every run of the suite, all of it with SLUICE_WHOLE=1.

`make proofs` sets it. A dose is the same in every run: the first case of each kind, so that no kind goes untried.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Case = TypeVar("Case")

#: Whether the long proofs run in full.
WHOLE = os.environ.get("SLUICE_WHOLE") == "1"


def dose(cases: Iterable[Case], kind: Callable[[Case], Hashable]) -> list[Case]:
    """All cases in a whole run, else the first of each kind."""
    found = list(cases)
    return found if WHOLE else list({kind(case): case for case in reversed(found)}.values())[::-1]


def share(whole: int, part: int) -> int:
    """A count in a whole run, and a smaller one otherwise."""
    return whole if WHOLE else part
