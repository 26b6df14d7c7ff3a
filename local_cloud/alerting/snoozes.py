"""Snoozes: whether a policy is not to open incidents now. Snoozes themselves are apis/monitoring_snoozes.py's.

Source: google/monitoring/v3/snooze.proto: no incident is opened and nobody is notified within the interval of a snooze
that names the policy; with a filter, only for series whose labels match it.
"""

from local_cloud.alerting.words import SNOOZE
from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.metrics import query
from local_cloud.metrics.series import Key


class Snoozes:
    """The snoozes of the project."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._kept = cloud.store.messages(f"plain.{SNOOZE}", SNOOZE)

    def holds(self, policy: str, key: Key | None, at: float) -> bool:
        """Whether one of them is in force for a policy and a series."""
        if not len(self._kept):
            return False
        moment = int(at * 1e9)
        for snooze in self._kept.values():
            start, end = snooze.interval.start_time.ToNanoseconds(), snooze.interval.end_time.ToNanoseconds()
            if not start <= moment < end:
                continue
            named = map(self._cloud.canonical, snooze.criteria.policies)
            if policy in named and self._fits(snooze.criteria.filter, key):
                return True
        return False

    def _fits(self, text: str, key: Key | None) -> bool:
        if not text or key is None:
            return True
        try:
            return query.parse(text).matches(query.subject(key, self._cloud.project))
        except ApiError:
            return True
