"""Jobs, executions and tasks as v1 shows them, and a v1 job as v2 keeps it.

Source: Job, Execution, Task of run v1. Annotations of a job's containers stand on its execution template there.
"""

from collections.abc import Mapping
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.run.knative import annotations as notes
from local_cloud.run.knative import objects
from local_cloud.run.knative.objects import RUN_V1
from local_cloud.run.knative.template import name_containers, pod_from_v2, pod_to_v2, trimmed, variable

Json = dict[str, Any]

API = f"{RUN_V1}/v1"
JOB_LABEL, EXECUTION_LABEL = f"{RUN_V1}/job", f"{RUN_V1}/execution"
STATE_LABEL, INDEX_LABEL = f"{RUN_V1}/runningState", f"{RUN_V1}/taskIndex"
#: What v1 can say of a v2 job; the rest of a kept one stays as it is.
_JOB = frozenset({"labels", "annotations", "client", "clientVersion", "launchStage", "binaryAuthorization", "template"})
_COUNTS = ("runningCount", "succeededCount", "failedCount", "cancelledCount", "retriedCount")


# From v1


def to_v2(given: Json, current: Json | None = None) -> Json:
    """The v2 job that a v1 job asks for; what only v2 can say stays as in `current`."""
    about, spec = given.get("metadata", {}), given.get("spec", {})
    fields, left = notes.take(about.get("annotations", {}), notes.JOB, "metadata.annotations")
    fields |= {"labels": notes.own(about.get("labels", {})), "annotations": notes.own(left)}
    if current is not None:
        fields |= {key: value for key, value in current.items() if key not in _JOB}
    for token in ("startExecutionToken", "runExecutionToken"):
        if spec.get(token):
            fields[token] = spec[token]
    template = spec.get("template", {})
    around, inside = template.get("metadata", {}), template.get("spec", {})
    pod = inside.get("template", {}).get("spec", {})
    task, left = pod_to_v2(around.get("annotations", {}), pod, notes.PLACEMENT)
    if "maxRetries" in pod:
        task["maxRetries"] = pod["maxRetries"]
    wanted = {"labels": notes.own(around.get("labels", {})), "annotations": left, "template": task}
    wanted |= {name: inside[name] for name in ("parallelism", "taskCount") if name in inside}
    return fields | {"template": wanted}


def overrides(given: Json) -> Json:
    """What one run of a job changes."""
    made: Json = {name: given[name] for name in ("taskCount",) if name in given}
    if seconds := given.get("timeoutSeconds"):
        made["timeout"] = f"{seconds}s"
    made["containerOverrides"] = [
        {name: each[name] for name in ("name", "args", "clearArgs") if name in each}
        | {"env": [variable(entry, {}) for entry in each.get("env", [])]}
        for each in given.get("containerOverrides", [])
    ]
    return made


# To v1


def job(cloud: Cloud, kept: Json) -> Json:
    """A job."""
    about = {**kept.get("annotations", {}), **notes.show(kept, notes.JOB), **_people(kept)}
    about[f"{notes.RUN}/lastModifier"] = kept.get("lastModifier", "")
    latest = kept.get("latestCreatedExecution")
    status = {
        "observedGeneration": int(kept.get("observedGeneration", "0")),
        "conditions": [objects.condition(kept.get("terminalCondition", {}), "Ready")],
        "executionCount": kept.get("executionCount"),
        "latestCreatedExecution": trimmed(
            {
                "name": latest["name"].rpartition("/")[2],
                "creationTimestamp": latest.get("createTime"),
                "completionTimestamp": latest.get("completionTime"),
                "deletionTimestamp": latest.get("deleteTime"),
                "completionStatus": latest.get("completionStatus"),
            }
        )
        if latest
        else None,
    }
    template = kept.get("template", {})
    labels = {f"{notes.RUN}/lastUpdatedTime": kept.get("updateTime", "")}
    return {
        "apiVersion": API,
        "kind": "Job",
        "metadata": objects.metadata(cloud, kept, RUN_V1, "jobs", annotations=trimmed(about), labels=trimmed(labels)),
        "spec": {"template": _execution_template(template, kept["name"])},
        "status": trimmed(status),
    }


def execution(cloud: Cloud, kept: Json) -> Json:
    """An execution of a job."""
    shown = _execution_template(kept, kept.get("job", ""))
    about = {**shown["metadata"].get("annotations", {}), **_people(kept)}
    owner = {"apiVersion": API, "kind": "Job", "name": kept.get("job", ""), "controller": True}
    status = {
        "observedGeneration": int(kept.get("observedGeneration", "0")) or None,
        "conditions": _conditions(kept),
        "startTime": kept.get("startTime"),
        "completionTime": kept.get("completionTime"),
        "logUri": kept.get("logUri"),
        **{name: kept.get(name) for name in _COUNTS},
    }
    return {
        "apiVersion": API,
        "kind": "Execution",
        "metadata": objects.metadata(
            cloud,
            kept,
            RUN_V1,
            "executions",
            annotations=trimmed(about),
            labels={JOB_LABEL: kept.get("job", "")},
            ownerReferences=[owner],
        ),
        "spec": shown["spec"],
        "status": trimmed(status),
    }


def task(cloud: Cloud, kept: Json) -> Json:
    """One task of an execution."""
    annotations, pod = pod_from_v2(kept, notes.PLACEMENT)
    name_containers(pod, kept.get("job", ""))
    pod["maxRetries"] = kept.get("maxRetries", 0)
    labels = {
        JOB_LABEL: kept.get("job", ""),
        EXECUTION_LABEL: kept.get("execution", ""),
        INDEX_LABEL: str(kept.get("index", 0)),
        STATE_LABEL: _running_state(kept),
    }
    attempt = kept.get("lastAttemptResult")
    status = {
        "observedGeneration": int(kept.get("observedGeneration", "0")) or None,
        "index": kept.get("index"),
        "retried": kept.get("retried"),
        "startTime": kept.get("startTime"),
        "completionTime": kept.get("completionTime"),
        "logUri": kept.get("logUri"),
        "conditions": _conditions(kept),
        "lastAttemptResult": {name: attempt[name] for name in ("status", "exitCode") if name in attempt}
        if attempt
        else None,
    }
    return {
        "apiVersion": API,
        "kind": "Task",
        "metadata": objects.metadata(cloud, kept, RUN_V1, "tasks", annotations=annotations, labels=labels),
        "spec": trimmed(pod),
        "status": trimmed(status),
    }


def _execution_template(kept: Json, job_name: str) -> Json:
    """The template of executions, or an execution itself: a job's containers with their annotations around them."""
    inside = kept.get("template", {})
    annotations, pod = pod_from_v2(inside, notes.PLACEMENT)
    annotations = {**kept.get("annotations", {}), **annotations}
    annotations.pop(notes.THROTTLING, None)  # a task has its CPU from its start to its end
    name_containers(pod, job_name)
    pod["maxRetries"] = inside.get("maxRetries", 0)
    spec = {"parallelism": kept.get("parallelism"), "taskCount": kept.get("taskCount"), "template": {"spec": pod}}
    about = {"labels": kept.get("labels"), "annotations": annotations}
    return {"metadata": trimmed(about), "spec": trimmed(spec)}


def _people(kept: Mapping[str, Any]) -> Json:
    return {f"{notes.RUN}/creator": kept.get("creator", "")}


def _conditions(kept: Json) -> list[Json]:
    """The conditions, with Started, which a client waits for, even before it is known."""
    found = [objects.condition(each) for each in kept.get("conditions", [])]
    if not any(each.get("type") == "Started" for each in found):
        found.append({"type": "Started", "status": "Unknown"})
    return found


def _running_state(kept: Json) -> str:
    done: Json = next((c for c in kept.get("conditions", []) if c.get("type") == "Completed"), {})
    if done.get("state") == "CONDITION_SUCCEEDED":
        return "Succeeded"
    if done.get("state") == "CONDITION_FAILED":
        return "Cancelled" if done.get("executionReason") == "CANCELLED" else "Failed"
    return "Running" if "startTime" in kept else "Pending"
