"""What a change of a log-based metric does: its kind and type are for ever, everything else is written anew."""

from __future__ import annotations

from typing import Any

from components.log_metric import LogMetric, LogMetricConfig
from components.site import Site
from spec import LogMetric as Spec
from tests.local_engine.conftest import Engine
from tests.local_engine.standin import StandIn

SITE = Site(project="rec", region="us-central1", env="local", protect=False)


def counted(**more: Any) -> Spec:
    said = {"name": "seen", "source": "ours", "what": "Lines", "event": "seen", "labels": {"code": "code"}}
    return Spec.model_validate(said | more)


def steps(engine: Engine, spec: Spec) -> dict[str, int]:
    result = engine(lambda: void(LogMetric("seen", LogMetricConfig(site=SITE, spec=spec))))
    assert result.ok, result.problems
    return dict(result.counts)


def void(_made: object) -> None:
    """A program returns nothing."""


def test_kind_and_type_replace_a_metric_and_nothing_else_does(engine: Engine, cloud: StandIn) -> None:
    buckets = {"bounds": [1, 2, 5]}
    assert steps(engine, counted()) == {"create": 1}
    assert steps(engine, counted()) == {"same": 1}
    assert steps(engine, counted(event="heard", unit="{line}", labels={"code": "code", "why": "why"})) == {"update": 1}
    assert steps(engine, counted(kind="distribution", value="n", buckets=buckets)) == {"replace": 1}
    assert steps(engine, counted(kind="distribution", value="n", buckets=buckets)) == {"same": 1}
    (kept,) = cloud.things.values()
    assert kept["bucketOptions"] == {"explicitBuckets": {"bounds": [1.0, 2.0, 5.0]}}
