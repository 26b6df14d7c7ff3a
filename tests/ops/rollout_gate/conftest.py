"""A local cloud with the real metrics, on which two sides of a rollout write lines as services do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

import spec
from local_cloud.cloud import Cloud
from local_cloud.logs.entries import Entries
from local_cloud.logs.lines import entry_of_line
from local_cloud.metrics.series import Key, key
from ops import rest
from ops.rollout.gate.early import EarlyLook
from ops.rollout.gate.judge import judge, sooner
from ops.rollout.gate.model import Early, Rules, Samples, Verdict, Window
from ops.rollout.gate.read import read
from ops.rollout.gate.target import Target
from service_code.kit.logs import FIELDS
from tests.dashboards.stage import Stage, staged
from tests.local_cloud.cloud_places import LOCATION, PROJECT

ROOT = Path(__file__).parents[3]
#: A look at the local cloud, whose series are there when their minute is over.
RULES = Rules(lag=0, min_samples=20)


class Field:
    """The place, as gates need it, and what both sides write."""

    project = PROJECT
    local = True

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._channel = grpc.insecure_channel(f"127.0.0.1:{stage.place.ports['grpc']}")
        cloud = self._cloud
        self._answers = cloud.meter.counter("run.googleapis.com/request_count", partial(_answered))

    @property
    def _cloud(self) -> Cloud:
        assert self.stage.place.cloud is not None
        return self.stage.place.cloud

    def metrics_client(self) -> monitoring_v3.MetricServiceClient:
        """Google's client."""
        transport = MetricServiceGrpcTransport(channel=self._channel)
        return monitoring_v3.MetricServiceClient(transport=transport)

    def call(self, api: str, method: str, path: str, body: Any = None, *, timeout: float = 30) -> Any:
        """A call of a REST API."""
        assert api == "logging"
        return rest.call(method, f"{self.stage.place.rest}/v2/{path}", body, timeout=timeout)

    def now(self) -> datetime:
        """The cloud's time."""
        return datetime.fromtimestamp(self._cloud.now(), UTC)

    def line(self, event: str, revision: str, times: int, **fields: Any) -> None:
        """A revision logs something, so many times; its service is the word before the dot."""
        service = revision.partition(".")[0]
        line = {**dict.fromkeys(FIELDS), "severity": "INFO", "message": event, "event": event, **fields}
        entry = entry_of_line(json.dumps({**line, "service_name": service}), "stdout", PROJECT)
        entry["resource"] = {"type": "cloud_run_revision", "labels": _labels(revision)}

        async def write(cloud: Cloud) -> None:
            for _ in range(times):
                cloud.use(Entries).write(dict(entry))

        self.stage.place.do(write)

    def handled(self, revision: str, times: int, **fields: Any) -> None:
        """A revision is through with messages of hostpay-execution-queue, as the worker says it."""
        usual = {
            **{"endpoint": "/hostpay_webhook", "queue": "hostpay-execution-queue", "way": "queue", "status": "next"},
            **{"http_status": 200, "attempt_number": 1, "effect": True, "task_age": 0.2, "task_seconds": 0.5},
            **{"token_age": 1.5},
        }
        said = {name: value for name, value in {**usual, **fields}.items() if value is not None}
        if said["http_status"] >= 300:
            del said["task_seconds"]
        self.line("handled", revision, times, **said)
        self.answered(revision, said["http_status"], times)

    def answered(self, revision: str, status: int, times: int) -> None:
        """Cloud Run has counted answers."""

        async def count(_cloud: Cloud) -> None:
            self._answers[revision, status] += times

        self.stage.place.do(count)

    def stands(self, subject: str, side: str, begun: int, due: int, unpaid: int) -> None:
        """The sweeper says how a side stands."""
        said = {"subject": subject, "side": side, "begun": begun, "due": due, "unpaid": unpaid}
        self.line("side_stands", "gcsplit.1", 1, **said)

    def begins(self) -> datetime:
        """A window begins."""
        self.stage.minute_begins()
        return self.now().replace(second=0, microsecond=0)

    def look(self, target: Target, since: datetime, rules: Rules = RULES) -> tuple[Samples, Verdict]:
        """What is read and judged now, when the minute that runs is over."""
        self.stage.minute_begins()
        window = Window.ending(since, self.now(), rules)
        samples = read(self, target, window.since, window.until)
        return samples, judge(samples, rules, window, self.now())

    def early(self, look: EarlyLook, target: Target, since: datetime, rules: Rules = RULES) -> tuple[Early, Verdict]:
        """What is read of the log now, and judged beside what metrics say now."""
        window = Window.ending(since, self.now(), rules)
        found = look.look(target, since)
        metrics = judge(read(self, target, window.since, window.until), rules, window, self.now())
        return found, sooner(metrics, found, rules)

    def lag(self, seconds: float) -> None:
        """From now on points are seen so much later."""

        async def turn(cloud: Cloud) -> None:
            cloud.metric_lag.turn(seconds)

        self.stage.place.do(turn)

    def passes(self, **time: float) -> None:
        """Time passes."""
        self.stage.passes(timedelta(**time).total_seconds() / 60)

    def close(self) -> None:
        """The client goes."""
        self._channel.close()


def _labels(revision: str) -> dict[str, str]:
    service = revision.partition(".")[0]
    made = {"project_id": PROJECT, "location": LOCATION, "service_name": service, "revision_name": revision}
    return made | {"configuration_name": service}


def _answered(counted: tuple[str, int]) -> Key:
    revision, status = counted
    said = {"response_code": str(status), "response_code_class": f"{status // 100}xx"}
    return key("run.googleapis.com/request_count", "cloud_run_revision", _labels(revision), said)


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """One cloud for all looks: each has revisions and a window of its own."""
    with staged(tmp_path_factory.mktemp("field")) as stage:
        made = Field(stage)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="session")
def system() -> spec.System:
    """The declared system."""
    return spec.load(ROOT)
