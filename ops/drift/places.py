"""Where the specs say something of a resource, and which words there would say what the cloud says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from local_engine.model import Goal
from ops.adopt.entries import NOUNS
from spec import files
from spec.durations import Duration

_FILES: Final[Mapping[str, str]] = {
    "sluice:components:TaskQueue": f"{files.TASKS}/{{name}}.yaml",
    "sluice:components:Topic": f"{files.TOPICS}/{{name}}.yaml",
    "sluice:components:Secret": f"{files.SECRETS}/{{name}}.yaml",
    "sluice:components:RunService": f"{files.SERVICES}/{{name}}/{files.SERVICE_FILE}",
    "sluice:components:ServiceAccount": f"{files.SERVICES}/{{name}}/{files.SERVICE_FILE}",
}
#: What the specs call a queue's settings: the path in the cloud's answer -> the line, with the value in it.
_LINES: Final[Mapping[str, str]] = {
    "rateLimits.maxDispatchesPerSecond": "rate: {{dispatches_per_second: {}}}",
    "rateLimits.maxConcurrentDispatches": "rate: {{concurrent: {}}}",
    "retryConfig.maxAttempts": "retry: {{max_attempts: {}}}",
    "retryConfig.minBackoff": "retry: {{min_backoff: {}}}",
    "retryConfig.maxBackoff": "retry: {{max_backoff: {}}}",
    "retryConfig.maxDoublings": "retry: {{max_doublings: {}}}",
    "retryConfig.maxRetryDuration": "retry: {{task_age_limit: {}}}",
    "ackDeadlineSeconds": "ack_deadline: {}s",
    "messageRetentionDuration": "retention: {}",
    "template.timeout": "timeout: {}",
    "template.maxInstanceRequestConcurrency": "concurrency: {}",
    "template.scaling.minInstanceCount": "scaling: {{min: {}}}",
    "template.scaling.maxInstanceCount": "scaling: {{max: {}}}",
}


def where(goal: Goal, seen: Mapping[str, Goal], stack: str) -> str:
    """The file that declares a resource, or the line of the program where no file does."""
    top = goal
    while top.parent in seen and not top.parent.endswith(f"::{stack}"):
        if seen[top.parent].type == "pulumi:pulumi:Stack":
            break
        top = seen[top.parent]
    if top.type == "sluice:components:Adopted":
        noun = NOUNS.get(goal.type)
        return f"{files.ADOPTED}/{stack}/" + (f"{noun}.{goal.name}.yaml" if noun else "")
    return _FILES.get(top.type, goal.where).format(name=top.name)


def line(path: str, cloud: Any) -> str:
    """The line of the spec that would say what the cloud says; nothing where there is none."""
    template = _LINES.get(path)
    if template is None or isinstance(cloud, dict | list) or cloud is None:
        return ""
    if isinstance(cloud, str) and cloud.endswith("s") and cloud[:-1].replace(".", "").isdigit():
        cloud = Duration(round(float(cloud[:-1]) * 1000))
    return template.format(cloud)
