"""A piece of work beside the walk: an apply takes minutes, cannot be ended halfway, and payments go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Aside:
    """Work in a thread of its own. Whoever leaves the block waits for its end, whatever he leaves it by."""

    def __init__(self, work: Callable[[], None], tell: Callable[[str], None]) -> None:
        self._work, self._tell = work, tell
        self._over = threading.Event()
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
        self._thread.join()

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
            self._work()
        except BaseException as error:  # `end` raises it where somebody waits
            self._trouble = error
        finally:
            self._over.set()
