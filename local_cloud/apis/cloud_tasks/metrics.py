"""The four metrics of Cloud Tasks: calls of the API, depth of queues, attempts and their delays.

Counted as it happens (a dict increment an event), read by Cloud Monitoring. There are no others: no age of the oldest
task, no count of tasks that were dropped. Source: https://cloud.google.com/monitoring/api/metrics_gcp (cloudtasks).
"""

from collections.abc import Iterator
from typing import Any

from local_cloud.apis.cloud_tasks.api import API
from local_cloud.cloud import Cloud
from local_cloud.engines.attempt import CODE_NAMES, Outcome
from local_cloud.engines.queues import Queue
from local_cloud.engines.tasks import Task
from local_cloud.metrics.series import Key, Value, key
from local_cloud.registry import Binding

_METRIC = "cloudtasks.googleapis.com"
_RESOURCE = "cloud_tasks_queue"


#: What a stored App Engine task begins with: the tag of app_engine_http_request, its first field.
_APP_ENGINE = b"\x12"


def target_type(task: Task) -> str:
    """The resource's label for where a task goes, without parsing it."""
    return "APP_ENGINE" if task.spec.startswith(_APP_ENGINE) else "HTTP"


class QueueMetrics:
    """What the meter is told of queues."""

    def __init__(self, cloud: Cloud) -> None:
        self._project = cloud.project
        #: The dispatcher's queues, whose depths are read.
        self.queues: dict[str, Queue] = {}
        self._attempts = cloud.meter.counter(f"{_METRIC}/queue/task_attempt_count", self._attempt)
        self._delays = cloud.meter.distribution(f"{_METRIC}/queue/task_attempt_delays", self._delay)
        self._calls = cloud.meter.counter(f"{_METRIC}/api/request_count", self._call)
        cloud.meter.sampler(self._depths)

    def answered(self, queue: Queue, task: Task, outcome: Outcome) -> None:
        """An attempt ended; the hot path of the dispatcher."""
        name, kind = queue.name, target_type(task)
        self._attempts[name, kind, outcome.code] += 1
        last = task.last
        if last is not None:
            late = last.dispatch - last.schedule
            self._delays[name, kind].add(late * 1000.0 if late > 0.0 else 0.0)

    def called(self, resource: str, method: str, code: str) -> None:
        """A call of the API was answered. Queues that are not there are no labels: anybody can make up names."""
        parts = resource.split("/", 6)
        queue = "/".join(parts[:6])
        if code != "OK" and queue not in self.queues:
            queue = "/".join(parts[:4])
        self._calls[queue, method, code] += 1

    def _name(self, metric: str, resource: str, labels: dict[str, str], kind: str = "HTTP") -> Key | None:
        parts = resource.split("/")
        if len(parts) < 4 or parts[0] != "projects" or parts[2] != "locations":
            return None
        own = {"project_id": self._project, "location": parts[3], "target_type": kind}
        own["queue_id"] = parts[5] if len(parts) > 5 and parts[4] == "queues" else ""
        return key(f"{_METRIC}/{metric}", _RESOURCE, own, labels)

    def _attempt(self, counted: tuple[str, str, int]) -> Key | None:
        name, kind, code = counted
        return self._name("queue/task_attempt_count", name, {"response_code": CODE_NAMES[code].lower()}, kind)

    def _delay(self, counted: tuple[str, str]) -> Key | None:
        name, kind = counted
        return self._name("queue/task_attempt_delays", name, {}, kind)

    def _call(self, counted: tuple[str, str, str]) -> Key | None:
        resource, method, code = counted
        return self._name("api/request_count", resource, {"api_method": method, "response_code": code.lower()})

    def _depths(self, _seconds: float) -> Iterator[tuple[Key, Value]]:
        for queue in self.queues.values():
            name = self._name("queue/depth", queue.name, {})
            if name is not None:
                yield name, len(queue.tasks)


@API.on_call
def observe(cloud: Cloud, binding: Binding, request: Any, code: str) -> None:
    """Count a call by the queue that it is about."""
    if binding.method is not None and binding.resource is not None:
        resource = binding.resource(request)
        if binding.method.name == "CreateQueue":
            resource = request.queue.name or resource
        cloud.use(QueueMetrics).called(resource, binding.method.name, code)
