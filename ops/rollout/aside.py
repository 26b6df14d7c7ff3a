"""A piece of work beside the walk: an apply takes minutes, cannot be ended halfway, and payments go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Aside:
    """Work in a thread of its own. Whoever leaves the block waits for its end, whatever he leaves it by.

    The work is given an event that says it is not wanted any more: what has not begun by then need not begin.
    """

    def __init__(self, work: Callable[[threading.Event], None], tell: Callable[[str], None]) -> None:
        self._work, self._tell = work, tell
        self._over, self._left = threading.Event(), threading.Event()
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None and not self._over.is_set():
            self._tell("waiting for the apply that runs: one that is cut short leaves half of it")
        self.leave()
        self._thread.join()

    def leave(self) -> None:
        """It is not wanted any more."""
        self._left.set()

    def over(self, within: float) -> bool:
        """Whether it is over, after so many seconds at most."""
        return self._over.wait(within)

    def end(self) -> None:
        """Wait for its end, and raise what it has raised."""
        self._thread.join()
        if self._trouble is not None:
            raise self._trouble

    def _run(self) -> None:
        try:
            self._work(self._left)
        except BaseException as error:  # `end` raises it where somebody waits
            self._trouble = error
        finally:
            self._over.set()
