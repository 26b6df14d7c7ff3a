"""What the specs would say of an estate: one file for each queue, topic, secret and service, as a draft for a person.

Owns the translation from the cloud's words to the specs', as far as the cloud says it: a task names its URL itself, so
the receiver of a queue is not to be seen. A draft is no spec: what is missing stands in it as a comment. A secret in
plain text becomes a reference by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from local_engine.estate import Estate, Thing
from ops.adopt import secrets
from spec import names
from spec.durations import Duration

_SERVICE: Final = "gcp:cloudrunv2/service:Service"
_ENQUEUERS: Final = ("enqueuer", "cloudtasks.admin")


def drafts(estate: Estate) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """The path of each draft, what it says, and what a person has to add or to know; nothing secret in any of it."""
    for path, made, notes in _drafts(estate):
        places = list(secrets.in_plain(made))
        notes += [f"{place}: it held a secret in plain text, which is not written here" for place in places]
        yield path, secrets.hidden(made), notes


def _drafts(estate: Estate) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    for thing in estate.of("gcp:cloudtasks/queue:Queue"):
        yield f"queue_configs/tasks/{thing.name}.yaml", *_queue(thing, estate)
    for thing in estate.of("gcp:pubsub/subscription:Subscription"):
        if thing.inputs.get("pushConfig"):
            topic = str(thing.inputs["topic"]).rpartition("/")[2]
            yield f"queue_configs/topics/{topic}.yaml", *_topic(thing, topic, estate)
    for thing in estate.of("gcp:secretmanager/secret:Secret"):
        name = thing.name.upper().replace("-", "_")
        notes = [] if names.SECRET_ID.fullmatch(thing.name) else [_renamed("secret", thing.name, name)]
        yield f"queue_configs/secrets/{name}.yaml", {"description": f"Taken over from {thing.name}."}, notes
    for thing in estate.of(_SERVICE):
        yield f"service_code/{thing.name}/service.yaml", *_service(thing, estate)


def _queue(thing: Thing, estate: Estate) -> tuple[dict[str, Any], list[str]]:
    rate, retry = thing.inputs.get("rateLimits", {}), thing.inputs.get("retryConfig", {})
    made: dict[str, Any] = {}
    senders = _services_of(thing, _ENQUEUERS, estate)
    if senders:
        made["from"] = senders
    made["rate"] = {
        "dispatches_per_second": rate.get("maxDispatchesPerSecond"),
        "concurrent": rate.get("maxConcurrentDispatches"),
    }
    made["retry"] = {
        "max_attempts": retry.get("maxAttempts"),
        "min_backoff": _span(retry.get("minBackoff")),
        "max_backoff": _span(retry.get("maxBackoff")),
        "max_doublings": retry.get("maxDoublings", 0),
    }
    notes = [] if senders else ["from: no account may enqueue on this queue alone; list the services that do"]
    if float(str(retry.get("maxRetryDuration") or "0s").removesuffix("s")):
        made["retry"]["task_age_limit"] = _span(retry["maxRetryDuration"])
    else:
        notes.append("retry.task_age_limit: it is without a limit of age; the window of its tokens is one")
    notes.append("to, path, message: a task names its URL itself, so that the cloud does not say them")
    if not names.QUEUE_ID.fullmatch(thing.name):
        notes.append("the name is not one that the specs take (lower case, digits, hyphens): it stays an entry")
    return made, notes


def _topic(thing: Thing, topic: str, estate: Estate) -> tuple[dict[str, Any], list[str]]:
    inputs, push = thing.inputs, thing.inputs["pushConfig"]
    source = next((one for one in estate.of("gcp:pubsub/topic:Topic") if one.name == topic), None)
    made: dict[str, Any] = {}
    if source is not None and (publishers := _services_of(source, ("pubsub.publisher",), estate)):
        made["from"] = publishers
    if receiver := _behind(push["pushEndpoint"], estate):
        made["to"] = receiver
    made["path"] = _path(push["pushEndpoint"], estate)
    made["ordered"] = bool(inputs.get("enableMessageOrdering"))
    made["ack_deadline"] = f"{inputs.get('ackDeadlineSeconds', 10)}s"
    dead = inputs.get("deadLetterPolicy", {})
    if dead.get("maxDeliveryAttempts"):
        made["max_delivery_attempts"] = dead["maxDeliveryAttempts"]
    if retry := inputs.get("retryPolicy"):
        made["retry"] = {
            "min_backoff": _span(retry.get("minimumBackoff") or "10s"),
            "max_backoff": _span(retry.get("maximumBackoff") or "600s"),
        }
    if inputs.get("messageRetentionDuration"):
        made["retention"] = _span(inputs["messageRetentionDuration"])
    notes = ["message: the cloud does not know what the messages are"]
    notes += [f"{key}: not to be seen in the cloud" for key in ("from", "to") if key not in made]
    if thing.name != names.subscription(topic):
        notes.append(f"the specs call the subscription {names.subscription(topic)}: it would be a new one")
    return made, notes


def _service(thing: Thing, estate: Estate) -> tuple[dict[str, Any], list[str]]:
    template = thing.inputs["template"]
    [container, *others] = template.get("containers") or [{}]
    made: dict[str, Any] = {"description": thing.inputs.get("description") or f"Taken over from {thing.name}."}
    notes = [f"{len(others)} more containers: the specs have one a service"] if others else []
    everybody = any("allUsers" in one["members"] for one in thing.bindings if one["role"] == "roles/run.invoker")
    if everybody or thing.inputs.get("invokerIamDisabled"):
        made["public"] = ["/"]
        notes.append("public: anybody may call it now; list the paths that verify signatures")
    config: dict[str, str] = {}
    referred: list[str] = []
    for variable in container.get("envs", ()):
        name = variable["name"]
        if "valueSource" in variable:
            referred.append(name)
        elif secrets.is_secret(name, variable.get("value", "")):
            referred.append(name)
            notes.append(f"secrets: {name} stands in plain text; put a new value into Secret Manager")
        else:
            config[name] = variable.get("value", "")
    if referred:
        made["secrets"] = sorted(referred)
    if config:
        made["config"] = config
    if template.get("timeout"):
        made["timeout"] = _span(template["timeout"])
    if template.get("maxInstanceRequestConcurrency"):
        made["concurrency"] = template["maxInstanceRequestConcurrency"]
    scaling = template.get("scaling", {})
    made["scaling"] = {"min": scaling.get("minInstanceCount", 0), "max": scaling.get("maxInstanceCount", 100)}
    if schedules := dict(_schedules(thing, estate)):
        made["schedules"] = schedules
    if not names.SERVICE_NAME.fullmatch(thing.name):
        notes.append("the name is not one that the specs take: the service stays an entry")
    notes.append("handles: the messages of its paths, which the cloud does not know")
    return made, notes


def _schedules(thing: Thing, estate: Estate) -> Iterator[tuple[str, dict[str, str]]]:
    for job in estate.of("gcp:cloudscheduler/job:Job"):
        target = job.inputs.get("httpTarget", {}).get("uri", "")
        if _behind(target, estate) == thing.name:
            yield job.name, {"path": _path(target, estate), "cron": str(job.inputs.get("schedule", ""))}


def _urls(estate: Estate) -> Iterator[tuple[str, str]]:
    for service in estate.of(_SERVICE):
        for url in {service.live.get("uri", ""), *service.live.get("urls", ())} - {""}:
            yield str(url), service.name


def _behind(url: str, estate: Estate) -> str:
    """The service that a URL belongs to."""
    return next((name for base, name in _urls(estate) if url == base or url.startswith(base + "/")), "")


def _path(url: str, estate: Estate) -> str:
    base = next((base for base, _ in _urls(estate) if url.startswith(base + "/")), "")
    path = urlsplit(url.removeprefix(base)).path or "/"
    return secrets.HIDDEN if secrets.is_secret("", f"https://any{path}") else path


def _services_of(thing: Thing, roles: tuple[str, ...], estate: Estate) -> list[str]:
    """The services that run as an account with one of the roles on a thing."""
    members = {
        member.removeprefix("serviceAccount:")
        for binding in thing.bindings
        if any(role in binding["role"] for role in roles)
        for member in binding["members"]
    }
    runs_as: Mapping[str, str] = {
        service.name: service.inputs["template"].get("serviceAccount", "") for service in estate.of(_SERVICE)
    }
    return sorted(name for name, account in runs_as.items() if account in members)


def _span(google: str | None) -> str | None:
    """Google's seconds as the specs write them."""
    return str(Duration(round(float(google.removesuffix("s")) * 1000))) if google else None


def _renamed(noun: str, old: str, new: str) -> str:
    return f"the specs call a {noun} in upper case: {old} stays an entry until its readers use {new}"
