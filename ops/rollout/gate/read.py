"""What Cloud Monitoring says of a target's two sides in a window: a handful of series, asked for at once.

Owns the queries and which fields they fill. What cannot be read is told by gate with its reason and the permission that
is missing, and is never a zero; a metric that is there and has no series is one, since the window ends where everything
is visible. Filters name one metric and one type of resource (https://cloud.google.com/monitoring/api/v3/filters);
sums are of whole minutes (ALIGN_SUM over the window).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from ops.rollout.gate import gather
from ops.rollout.gate.depth import LASTING
from ops.rollout.gate.model import MINUTE, Samples
from ops.rollout.gate.series import Series, depth_filter, log_filter, run_filter
from ops.rollout.gate.target import Target

if TYPE_CHECKING:
    from google.cloud import monitoring_v3

#: Seconds for one answer: a look is to take two in all.
TIMEOUT: Final = 5.0
#: What whoever looks has to have.
PERMISSION: Final = "monitoring.timeSeries.list"


class Place(Protocol):
    """So much of ops/place.py is needed here."""

    project: str

    def metrics_client(self) -> monitoring_v3.MetricServiceClient:
        """Google's client of series."""
        ...


@dataclass(frozen=True)
class Query:
    """One question: a filter, how the points of its series become one, and the gates that need the answer."""

    name: str
    filter: str
    gates: tuple[str, ...]
    aligner: str = "ALIGN_SUM"
    #: Minutes before the end that are asked for; the whole window where it is 0.
    last: int = 0
    #: Minutes by which what is counted lies behind its line.
    after: int = 0
    #: The end is that of the window, or its beginning.
    before: bool = False


def read(
    place: Place, target: Target, since: datetime, until: datetime, earlier: gather.Earlier | None = None
) -> Samples:
    """The samples of (since, until]: whole minutes of which all is visible."""
    asked = queries(target)
    if since >= until:  # nothing is visible yet
        return gather.samples(target, {}, {}, earlier)
    client = place.metrics_client()
    with ThreadPoolExecutor(len(asked), thread_name_prefix="gate") as pool:
        answers = pool.map(lambda query: _ask(client, place.project, query, since, until), asked)
        found = {query.name: answer for query, answer in zip(asked, answers, strict=True)}
    missing: dict[str, str] = {}
    series: dict[str, list[Series]] = {}
    for query in asked:
        answer = found[query.name]
        series[query.name] = [] if isinstance(answer, str) else answer
        if isinstance(answer, str):
            for gate in query.gates:
                missing.setdefault(gate, answer)
    return gather.samples(target, series, missing, earlier)


def queries(target: Target) -> list[Query]:
    """All questions about a target."""
    services = target.services
    asked = [
        Query("outcomes", log_filter("outcomes", services), ("success", "dead", "effect", "refusals", "token_expiry")),
        Query("seconds", log_filter("request_seconds", services), ("latency",)),
        Query("tokens", log_filter("token_age", services), ("token_expiry", "late_tokens")),
    ]
    if target.is_release:
        asked.append(Query("answers", run_filter("request_count", services), ("success",)))
    for name in gather.STANDING if target.pays else ():
        after = gather.DUE_AFTER if name != "side_begun" else 1
        asked.append(Query(name, log_filter(name, (), subject=target.name), ("paid",), after=after))
    if target.queues:
        depth, late = depth_filter(target.queues), log_filter("task_age", (), queue=target.queues)
        asked += [
            Query("depth", depth, ("queue_depth",), "ALIGN_NONE", last=LASTING),
            Query("depth_before", depth, ("queue_depth",), "ALIGN_NONE", last=LASTING, before=True),
            Query("task_age", late, ("queue_depth",), last=LASTING),
        ]
    return asked


def _ask(
    client: monitoring_v3.MetricServiceClient, project: str, query: Query, since: datetime, until: datetime
) -> list[Series] | str:
    """The series, or why there are none."""
    from google.api_core import exceptions
    from google.cloud import monitoring_v3

    end = since if query.before else until
    start = end - timedelta(minutes=query.last) if query.last else since
    if not query.before:
        start = max(start, since + timedelta(minutes=query.after))
    if start >= end:
        return []
    request: dict[str, Any] = {
        "name": f"projects/{project}",
        "filter": query.filter,
        "interval": monitoring_v3.TimeInterval(start_time=start, end_time=end),
    }
    if query.aligner != "ALIGN_NONE":
        seconds = max(MINUTE, int((end - start).total_seconds()))
        request["aggregation"] = {"alignment_period": {"seconds": seconds}, "per_series_aligner": query.aligner}
    try:
        return [Series.of(one) for one in client.list_time_series(request=request, retry=None, timeout=TIMEOUT)]
    except exceptions.PermissionDenied:
        return (
            f"Cloud Monitoring refuses (403): whoever looks needs {PERMISSION}, which roles/monitoring.viewer has, on "
            f"{project}"
        )
    except exceptions.NotFound:
        return f"there is no metric for {query.name} (yet): ./sluice up makes it, and it can be asked for minutes later"
    except exceptions.GoogleAPICallError as error:
        return f"Cloud Monitoring does not answer: {type(error).__name__}"
