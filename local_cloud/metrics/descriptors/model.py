"""What describes a metric of the platform, and the layouts of buckets that several have.

The layouts of buckets are not documented: ours are wide enough for what is measured.
"""

from dataclasses import dataclass, field

from local_cloud.metrics.distribution import Buckets, exponential, linear

MILLISECONDS = exponential(66, 1.4, 1.0)
PERCENT = linear(100, 0.01, 0.0)
CONCURRENCY = exponential(20, 2.0, 1.0)

#: What descriptions end with.
LAG = "Sampled every 60 seconds."


@dataclass(frozen=True)
class Metric:
    """A metric of the platform's own."""

    type: str
    kind: str
    value: str
    unit: str
    name: str
    text: str
    resources: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...] = ()
    stage: str = "GA"
    buckets: Buckets | None = field(default=None, repr=False)
    #: Seconds until what was sampled can be seen.
    lag: int = 180
