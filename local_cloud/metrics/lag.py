"""How long points take until they can be seen: Google's take up to three minutes. Turned as it runs."""

from local_cloud.errors import invalid
from local_cloud.metrics.series import SECOND
from local_cloud.store import Store

#: The most that Google's own metrics take.
MOST = 180.0


class Lag:
    """The lag; it lasts over restarts, until a start asks for another than the last one did."""

    def __init__(self, store: Store, given: float) -> None:
        self._given = given
        self._chosen = store.json("metrics.lag")
        before, chosen = self._chosen.get("seconds") or (given, given)
        self.seconds: float = chosen if before == given else given

    def turn(self, seconds: float) -> None:
        """From now on points are seen so much later."""
        if not 0 <= seconds <= MOST:
            raise invalid(f"The lag is between 0 and {MOST:g} seconds, not {seconds:g}.")
        self._chosen["seconds"] = [self._given, seconds]
        self.seconds = seconds

    def visible(self, now: float) -> int:
        """The end of the newest points that can be seen, in nanoseconds."""
        return int((now - self.seconds) * SECOND)
