"""What the local cloud promises, said where it is tested: `@pins` on a test is a line of docs/fidelity/.

    @pins("cloud_tasks", "Queues", "A deleted queue's name is refused for 7 days", documented="DeleteQueue")
    def test_a_deleted_name_comes_free_after_seven_days() -> None: ...

As a statement of its own, `pins(...)` says it of the whole module. The pages are made from these lines by
`python -m tests.fidelity`, which reads the files and runs none of them; pages.py has the areas, their sections and
what is left out on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def pins(
    area: str, section: str, behaviour: str, *, documented: str = "", observed: str = "", ours: str | bool = ""
) -> Callable[[F], F]:
    """Say which behaviour a test pins, and from where it is known; at least one of the three is given.

    `documented` names the page or message of Google's reference, `observed` the record of the real service's answer,
    `ours` (True, or why) that neither says, or that we differ on purpose. Several may stand on one test.
    """
    if not (documented or observed or ours):
        raise ValueError(f"{behaviour}: say how it is known")

    def unchanged(test: F) -> F:
        return test

    return unchanged
