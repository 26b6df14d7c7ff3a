"""What Cloud Scheduler writes to its log `executions` about each attempt: that it started, how it finished.

Source: https://cloud.google.com/scheduler/docs/logging, and entries that users have published.
"""

import contextlib
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import NAME
from local_cloud.logs.entries import Entries, rfc3339
from local_cloud.schedules.sending import Outcome

LOG = "cloudscheduler.googleapis.com/executions"
_TYPE = "type.googleapis.com/google.cloud.scheduler.logging"


def started(cloud: Cloud, name: str, job: Message, due: float) -> None:
    """An attempt goes out."""
    _write(cloud, name, {"@type": f"{_TYPE}.AttemptStarted", **_target(name, job), "scheduledTime": rfc3339(due)}, {})


def finished(cloud: Cloud, name: str, job: Message, outcome: Outcome) -> None:
    """An attempt is over."""
    payload: dict[str, Any] = {"@type": f"{_TYPE}.AttemptFinished", **_target(name, job)}
    more: dict[str, Any] = {"httpRequest": {"status": outcome.status}} if outcome.status else {}
    if outcome.code:
        more["severity"] = "ERROR"
        payload |= {"status": NAME[outcome.code], "debugInfo": outcome.debug}
    _write(cloud, name, payload, more)


def _target(name: str, job: Message) -> dict[str, str]:
    kind = job.WhichOneof("target")
    if kind == "pubsub_target":
        return {"jobName": name, "targetType": "PUB_SUB", "pubsubTopic": job.pubsub_target.topic_name}
    if kind == "app_engine_http_target":
        target = job.app_engine_http_target
        return {"jobName": name, "targetType": "APP_ENGINE_HTTP", "relativeUrl": target.relative_uri}
    return {"jobName": name, "targetType": "HTTP", "url": job.http_target.uri}


def _write(cloud: Cloud, name: str, payload: dict[str, Any], more: dict[str, Any]) -> None:
    labels = {"project_id": cloud.project, "location": name.split("/")[3], "job_id": name.rpartition("/")[2]}
    resource = {"type": "cloud_scheduler_job", "labels": labels}
    entry = {"logName": LOG, "severity": "INFO", "resource": resource, "jsonPayload": payload, **more}
    with contextlib.suppress(KeyError):  # a cloud without the Logging API
        cloud.use(Entries).write(entry)
