"""The rules of lint that a plan can be held against: one resource as plain values in, what it breaks out.

For resources that no spec of ours declares, and for plans of other programs: the policy pack (policy/) asks here. What
Google would refuse is asked of the same models, secrets and members by the same functions as in lint. Values that are
not known before the apply are passed over. Leaves alone what needs more than one resource.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spec import plan_grants
from spec.catalogue import Catalogue
from spec.explain import explain
from spec.log_metric import PREFIX
from spec.model import Model
from spec.plan_grants import Exceptions
from spec.secret_forms import KEY_VARIABLE, looks_secret
from spec.secrets_in_text import spots
from spec.service import Schedule, Service
from spec.source import Source
from spec.stack import LOCAL
from spec.task_queue import Rate, Retry
from spec.topic import Topic

Values = Mapping[str, Any]
NONE: Exceptions = {}

_BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_METRIC = re.compile(r'metric\.type\s*=\s*"([^"]+)"')
_LABEL = re.compile(r"metric\.labels?\.(\w+)")


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a resource breaks, and how."""

    rule: str
    what: str


Judge = Callable[[Values], Iterator[Broken]]


def judge(kind: str, values: Values, exceptions: Exceptions = NONE) -> list[Broken]:
    """Return what a resource of this type breaks; exceptions are roles on a whole project, by account."""
    found = [broken for judge in JUDGES.get(kind, ()) for broken in judge(values)]
    found += [Broken(rule, what) for rule, what in plan_grants.broken(kind, values, exceptions)]
    return list(dict.fromkeys(found))


def _queue(values: Values) -> Iterator[Broken]:
    rate, retry = _inner(values, "rateLimits"), _inner(values, "retryConfig")
    given = {"dispatches_per_second": rate.get("maxDispatchesPerSecond")}
    yield from _refused(Rate, {**given, "concurrent": rate.get("maxConcurrentDispatches")})
    names = {
        "max_attempts": "maxAttempts",
        "min_backoff": "minBackoff",
        "max_backoff": "maxBackoff",
        "max_doublings": "maxDoublings",
        "task_age_limit": "maxRetryDuration",
    }
    yield from _refused(Retry, {ours: retry.get(theirs) for ours, theirs in names.items()})


def _subscription(values: Values) -> Iterator[Broken]:
    ack, retry = values.get("ackDeadlineSeconds"), _inner(values, "retryPolicy")
    waits = {"min_backoff": retry.get("minimumBackoff"), "max_backoff": retry.get("maximumBackoff")}
    given = {
        "ack_deadline": f"{ack:g}s" if isinstance(ack, int | float) else None,
        "max_delivery_attempts": _inner(values, "deadLetterPolicy").get("maxDeliveryAttempts"),
        "retention": values.get("messageRetentionDuration"),
        "filter": values.get("filter") or None,
        "retry": _known(waits),
    }
    yield from _refused(Topic, {"from": ["any"], "to": "any", "path": "/", "message": "Any", "name": "any", **given})


def _job(values: Values) -> Iterator[Broken]:
    yield from _refused(Schedule, {"path": "/", "cron": values.get("schedule")})


def _service(values: Values) -> Iterator[Broken]:
    template = _inner(values, "template")
    scaling = _inner(template, "scaling")
    limits = [_inner(_inner(one, "resources"), "limits") for one in _containers(values)]
    given = {
        "concurrency": template.get("maxInstanceRequestConcurrency"),
        "timeout": template.get("timeout"),
        "resources": _known({key: limits[0].get(key) for key in ("cpu", "memory")} if limits else {}),
        "scaling": _known({"min": scaling.get("minInstanceCount"), "max": scaling.get("maxInstanceCount")}),
    }
    yield from _refused(Service, {"name": "any", "description": "any", **given})


def _containers_of(values: Values) -> Iterator[Broken]:
    for container in _containers(values):
        image = container.get("image")
        if isinstance(image, str) and not _BY_DIGEST.search(image):
            yield Broken("SL907", f"the image {image} is named by a tag: only a digest names one image")
        env = {str(one.get("name")): one for one in container.get("envs") or () if isinstance(one, Mapping)}
        local = env.get("SLUICE_STACK", {}).get("value") == LOCAL
        for name, one in env.items():
            yield from _variable(name, one, local=local)


def _variable(name: str, one: Values, *, local: bool) -> Iterator[Broken]:
    value = one.get("value")
    version = _inner(_inner(one, "valueSource"), "secretKeyRef").get("version")
    if version == "latest":
        yield Broken("SL804", f"{name} reads the latest version of its secret: pin the number")
    if name == KEY_VARIABLE:
        yield Broken("SL314", f"{name} logs in by a key file: the revision has its account")
    elif isinstance(value, str) and looks_secret(name, value):
        yield Broken("SL803", f"{name} looks like a secret in plain text")
    elif isinstance(value, str) and (spot := next(spots(value), None)):
        yield Broken("SL805", f"{name} holds what looks like {spot.what}")
    if name == "ENDPOINTS" and not local and isinstance(value, str) and value not in ("", "{}"):
        yield Broken("SL904", "ENDPOINTS points elsewhere outside of a local stack")


def _alert(values: Values) -> Iterator[Broken]:
    google = Catalogue({})
    for condition in values.get("conditions") or ():
        inner = [one for one in condition.values() if isinstance(one, Mapping)]
        for text in (str(one.get(key) or "") for one in inner for key in ("filter", "denominatorFilter")):
            found = _METRIC.search(text)
            if found is None or found[1].startswith(PREFIX):
                continue
            metric = google.find(found[1])
            if metric is None:
                yield Broken("SL401", f"there is no metric {found[1]}, as far as spec/google_metrics.json knows")
                continue
            for label in _LABEL.findall(text):
                if label not in metric.labels:
                    yield Broken("SL401", f"{metric.type} has no label {label}")


def _key(_: Values) -> Iterator[Broken]:
    yield Broken("SL313", "a key of a service account would be made: let whoever needs one use workload identity")


#: Who looks at which type.
JUDGES: Mapping[str, tuple[Judge, ...]] = {
    "gcp:cloudtasks/queue:Queue": (_queue,),
    "gcp:pubsub/subscription:Subscription": (_subscription,),
    "gcp:cloudscheduler/job:Job": (_job,),
    "gcp:cloudrunv2/service:Service": (_service, _containers_of),
    "gcp:cloudrunv2/job:Job": (_containers_of,),
    "gcp:monitoring/alertPolicy:AlertPolicy": (_alert,),
    "gcp:serviceaccount/key:Key": (_key,),
}

#: Every rule that a plan can break.
RULES = (
    *("SL301", "SL305", "SL306", "SL313", "SL314", "SL401", "SL501", "SL502", "SL504", "SL505", "SL507"),
    *("SL701", "SL803", "SL804", "SL805", "SL904", "SL907"),
)


def _refused(model: type[Model], values: Values) -> Iterator[Broken]:
    try:
        model.model_validate(_known(values))
    except ValidationError as error:
        for finding in explain(error, Source(Path("plan")), model):
            if finding.rule in RULES:
                yield Broken(finding.rule, f"{finding.key}: {finding.what} ({finding.breaks})")


def _known(values: Values) -> dict[str, Any]:
    """Leave out what is not set or not known yet; whole numbers come as 5.0 over the wire."""
    plain = (int, float, str, dict, list)
    kept = {key: value for key, value in values.items() if isinstance(value, plain)}
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in kept.items()
    }


def _inner(values: Values, key: str) -> Values:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _containers(values: Values) -> list[Values]:
    template = _inner(values, "template")
    found = template.get("containers") or _inner(template, "template").get("containers") or ()
    return [one for one in found if isinstance(one, Mapping)]
