"""What people may ask of Cloud Tasks here that Google does not let them choose: ramp-up and duplicates.

Both are off unless the command line (`--tasks-ramp-up`, `--tasks-duplicates`) or the routes of knob_routes.py turn them
on. What the routes set is kept: it outlives a restart and then weighs more than the command line. Leaves alone: what
the settings do (engines/ramp.py, engines/duplicates.py).
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.engines.dispatcher import Dispatcher
from local_cloud.engines.duplicates import EVERY_QUEUE, Duplicates
from local_cloud.engines.ramp import RampUp

RAMP_UP, DUPLICATES = "ramp_up", "duplicates"


class Knobs:
    """The two settings, as kept."""

    def __init__(self, cloud: Cloud, dispatcher: Dispatcher) -> None:
        self._kept = cloud.store.json("cloudtasks.knobs")
        self._dispatcher = dispatcher
        settings = cloud.settings
        self.ramp_up: dict[str, float] = {"start": settings.tasks_ramp_up}
        self.duplicates: dict[str, Any] = {"seed": 0, "shares": {EVERY_QUEUE: settings.tasks_duplicates}}

    @property
    def law(self) -> RampUp | None:
        """The ramp-up, if there is one."""
        return law_of(self.ramp_up)

    def load(self) -> None:
        """Takes up what was kept, or what the command line says."""
        self.ramp_up = self._kept.get(RAMP_UP) or self.ramp_up
        self.duplicates = self._kept.get(DUPLICATES) or self.duplicates
        self._apply()

    def set_ramp_up(self, law: dict[str, float]) -> None:
        """Changes the ramp-up; a start of 0 turns it off."""
        self.ramp_up = self._kept[RAMP_UP] = law
        self._dispatcher.ramp_up(self.law)

    def set_duplicates(self, queue: str, share: float, seed: int | None) -> None:
        """Changes one queue's share; a share of 0 for every queue forgets those of single ones."""
        shares = {} if queue == EVERY_QUEUE and share == 0 else dict(self.duplicates["shares"])
        shares[queue] = share
        seed = self.duplicates["seed"] if seed is None else seed
        self.duplicates = self._kept[DUPLICATES] = {"seed": seed, "shares": shares}
        self._dispatcher.duplicates = _duplicates(self.duplicates)

    def _apply(self) -> None:
        if self.law is not None:
            self._dispatcher.ramp_up(self.law)
        self._dispatcher.duplicates = _duplicates(self.duplicates)


def law_of(kept: dict[str, float]) -> RampUp | None:
    """The law that was asked for; a start of 0 asks for none."""
    return RampUp(**kept) if kept["start"] > 0 else None


def _duplicates(kept: dict[str, Any]) -> Duplicates | None:
    shares: dict[str, float] = kept["shares"]
    return Duplicates(shares, kept["seed"]) if any(shares.values()) else None
