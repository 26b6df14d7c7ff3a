"""Alerting as one thing: what the API tells of policies, and what minutes, entries and moves of the clock set off."""

from local_cloud.alerting.evaluation import Evaluation
from local_cloud.alerting.keeper import Keeper
from local_cloud.alerting.log_matches import LogMatches
from local_cloud.alerting.words import POLICY
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.logs.entries import Entries

#: Seconds after the start at which kept notifications are taken up: what they are sent by must have started too.
RESUME = 1.0


class Alerting:
    """All policies at work."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.keeper = Keeper(cloud)
        self.series = Evaluation(cloud, self.keeper)
        self.logs = LogMatches(cloud, self.keeper)
        self._policies = cloud.store.messages(f"plain.{POLICY}", POLICY)
        self._restored = False

    def start(self) -> None:
        """Takes up what was kept; policies on metrics when they are first needed, since all metrics must be there."""
        for policy in self._policies.values():
            self.logs.put(policy)
        self._cloud.use(Entries).watchers.append(self.logs.written)
        self._cloud.meter.ended.append(self._minute_ended)
        self._cloud.clock.stops.append(self._stop_at)
        self._cloud.clock.call_later(RESUME, self.keeper.outbox.start)

    def stop(self) -> None:
        """Drops connections."""
        self._cloud.meter.ended.remove(self._minute_ended)
        self.keeper.outbox.stop()

    def put(self, policy: Message) -> None:
        """A policy was made or changed."""
        self._restore()
        self.series.put(policy)
        self.logs.put(policy)

    def remove(self, name: str) -> None:
        """A policy was deleted."""
        self._restore()
        self.series.remove(name)
        self.logs.remove(name)

    def _restore(self) -> None:
        if not self._restored:
            self._restored = True
            for policy in self._policies.values():
                self.series.restore(policy)
            self.series.make_up()

    def _minute_ended(self, end: int) -> None:
        self._restore()
        self.series.minute_ended(end)
        self.logs.minute_ended(end)

    def _stop_at(self) -> float | None:
        self._restore()
        return min((at for at in (self.series.stop_at(), self.logs.stop_at()) if at is not None), default=None)
