"""Forecasts: what a series comes to within the horizon if it goes on as it went.

Owns a least-squares line through the aligned values of twice the horizon. Google does not say which algorithm it uses
(it also knows seasons): ours is the plain trend. Without values over nearly twice the horizon there is no forecast.
Source: https://cloud.google.com/monitoring/alerts/metric-forecast.
"""

from collections.abc import Sequence

from local_cloud.alerting.sources import Aggregated, Values
from local_cloud.metrics.series import STEP, Point

#: A forecast looks back so many horizons, of which this share must have values.
BACK, COVERED = 2, 0.9
#: A series needs so many values; a line through two would always fit.
FEWEST = 10
#: A horizon is divided into so many parts, and forecasts are made anew after each.
PARTS = 60


class Forecast:
    """The most (or least) that each series is foreseen to come to within the horizon."""

    def __init__(self, source: Aggregated, horizon: int, *, most: bool) -> None:
        self._source, self._horizon, self._most = source, horizon, most
        self._every = max(STEP, horizon // PARTS // STEP * STEP)
        self._made: Values = {}
        self._until = 0
        self.drifts = source.drifts

    def at(self, minute: int) -> Values:
        """The forecasts made last."""
        if minute < self._until:
            return self._made
        self._until = minute + self._every
        self._made = {}
        start = minute - BACK * self._horizon
        for series in self._source.series(start, minute):
            values = series.points[:: max(1, len(series.points) // (BACK * PARTS))]
            if len(values) >= FEWEST and values[0].end <= start + (1 - COVERED) * BACK * self._horizon:
                now, then = line(values, minute, minute + self._horizon)
                self._made[series.key] = max(now, then) if self._most else min(now, then)
        return self._made

    def steady(self, minute: int) -> int:
        """Where nothing changed for as long as is looked back, nothing else is foreseen."""
        return self._source.steady(minute, BACK * self._horizon)


def line(values: Sequence[Point], *moments: int) -> list[float]:
    """Values at some moments of the line that fits best."""
    first = values[0].end
    xs = [(point.end - first) / STEP for point in values]
    ys = [float(point.value) for point in values if isinstance(point.value, int | float)]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0
    return [mean_y + slope * ((moment - first) / STEP - mean_x) for moment in moments]
