"""Services, revisions, configurations and routes as Knative shows them, and a Knative service as v2 keeps it.

A configuration is a service's template, a route its traffic: both are views of the one service that v2 has.
Source: Service, Revision, Configuration, Route of run v1.
"""

import json
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.run.knative import annotations as notes
from local_cloud.run.knative import objects
from local_cloud.run.knative.objects import SERVING
from local_cloud.run.knative.template import name_containers, pod_from_v2, pod_to_v2, trimmed

Json = dict[str, Any]

API = f"{SERVING}/v1"
LATEST, NAMED = (f"TRAFFIC_TARGET_ALLOCATION_TYPE_{name}" for name in ("LATEST", "REVISION"))
#: What v1 can say of a v2 template and of a v2 service; the rest of a kept one stays as it is.
_TEMPLATE = frozenset({
    "revision", "labels", "annotations", "scaling", "vpcAccess", "timeout", "serviceAccount", "containers", "volumes",
    "executionEnvironment", "encryptionKey", "maxInstanceRequestConcurrency", "sessionAffinity",
    "healthCheckDisabled", "nodeSelector", "gpuZonalRedundancyDisabled", "serviceMesh",
})  # fmt: skip
_SERVICE = frozenset({
    "labels", "annotations", "description", "client", "clientVersion", "ingress", "launchStage",
    "binaryAuthorization", "template", "traffic", "scaling", "invokerIamDisabled", "defaultUriDisabled", "iapEnabled",
    "customAudiences",
})  # fmt: skip


# From Knative


def to_v2(given: Json, current: Json | None = None) -> Json:
    """The v2 service that a Knative service asks for; what only v2 can say stays as in `current`."""
    about, spec = given.get("metadata", {}), given.get("spec", {})
    fields, left = notes.take(about.get("annotations", {}), notes.SERVICE, "metadata.annotations")
    fields |= {"labels": notes.own(about.get("labels", {})), "annotations": notes.own(left)}
    wanted = _template_to_v2(spec.get("template", {}))
    if current is not None:
        kept = current.get("template", {})
        fields |= {key: value for key, value in current.items() if key not in _SERVICE}
        # A client reads, changes and writes back: what it has not touched must not become another revision.
        if wanted == _template_to_v2(_template(current)):
            wanted = kept
        else:
            wanted |= {key: value for key, value in kept.items() if key not in _TEMPLATE}
    return fields | {"template": wanted, "traffic": [_target(target) for target in spec.get("traffic", [])]}


def _template_to_v2(template: Json) -> Json:
    about, pod = template.get("metadata", {}), template.get("spec", {})
    fields, left = pod_to_v2(about.get("annotations", {}), pod, notes.REVISION)
    fields |= {"labels": notes.own(about.get("labels", {})), "annotations": left}
    if name := about.get("name"):
        fields["revision"] = name
    if concurrency := pod.get("containerConcurrency"):
        fields["maxInstanceRequestConcurrency"] = concurrency
    return fields


def _target(given: Json) -> Json:
    made = {key: given[key] for key in ("percent", "tag") if key in given}
    if given.get("latestRevision") or not given.get("revisionName"):
        return {"type": LATEST} | made
    return {"type": NAMED, "revision": given["revisionName"]} | made


# To Knative


def service(cloud: Cloud, kept: Json) -> Json:
    """A service."""
    about = {
        **kept.get("annotations", {}),
        **notes.show(kept, notes.SERVICE),
        "serving.knative.dev/creator": kept.get("creator", ""),
        "serving.knative.dev/lastModifier": kept.get("lastModifier", ""),
        f"{notes.RUN}/urls": json.dumps(kept.get("urls", [])),
    }
    if ingress := about.get(f"{notes.RUN}/ingress"):
        about[f"{notes.RUN}/ingress-status"] = ingress
    spec = {"template": _template(kept), "traffic": [_shown(t) for t in kept.get("traffic", [])]}
    status = {
        **_observed(kept),
        "latestCreatedRevisionName": _short(kept.get("latestCreatedRevision", "")),
        "latestReadyRevisionName": _short(kept.get("latestReadyRevision", "")),
        **_routed(kept),
        "conditions": _conditions(kept, ("ConfigurationsReady", "RoutesReady")),
    }
    return {
        "apiVersion": API,
        "kind": "Service",
        "metadata": objects.metadata(cloud, kept, SERVING, "services", annotations=trimmed(about)),
        "spec": spec,
        "status": trimmed(status),
    }


def configuration(cloud: Cloud, kept: Json) -> Json:
    """The part of a service that makes revisions."""
    status = {
        **_observed(kept),
        "latestCreatedRevisionName": _short(kept.get("latestCreatedRevision", "")),
        "latestReadyRevisionName": _short(kept.get("latestReadyRevision", "")),
        "conditions": [_view(kept, "ConfigurationsReady")],
    }
    return {
        "apiVersion": API,
        "kind": "Configuration",
        "metadata": _part(cloud, kept, "configurations"),
        "spec": {"template": _template(kept)},
        "status": trimmed(status),
    }


def route(cloud: Cloud, kept: Json) -> Json:
    """The part of a service that spreads requests."""
    return {
        "apiVersion": API,
        "kind": "Route",
        "metadata": _part(cloud, kept, "routes"),
        "spec": {"traffic": [_shown(target) for target in kept.get("traffic", [])]},
        "status": trimmed({**_observed(kept), **_routed(kept), "conditions": [_view(kept, "RoutesReady")]}),
    }


def revision(cloud: Cloud, kept: Json, owner: Json) -> Json:
    """A revision; `owner` is its service, whose traffic says whether it is active."""
    name, of = _short(kept["name"]), _short(kept["service"])
    labels = {
        f"{SERVING}/service": of,
        f"{SERVING}/configuration": of,
        f"{SERVING}/route": of,
        f"{SERVING}/configurationGeneration": str(kept.get("generation", "1")),
        f"{SERVING}/serviceUid": owner.get("uid", ""),
    }
    parent = {"apiVersion": API, "kind": "Configuration", "name": of, "uid": owner.get("uid", ""), "controller": True}
    annotations, pod = pod_from_v2(kept, notes.REVISION)
    annotations = annotations | {"serving.knative.dev/creator": kept.get("creator", "")}
    pod["containerConcurrency"] = kept.get("maxInstanceRequestConcurrency")
    name_containers(pod, of)
    found = {each.get("type"): each for each in kept.get("conditions", [])}
    ready = found.get("Ready", {})
    active = any(target.get("revisionName") == name for target in _targets(owner))
    conditions = [objects.condition(ready, "Ready"), _active(ready, active)]
    for kind in ("ContainerHealthy", "ContainerReady", "ResourcesAvailable"):
        conditions.append(objects.condition(found.get(kind, ready), kind))
    status = {
        "observedGeneration": int(kept.get("generation", "1")),
        "imageDigest": next((c.get("image") for c in kept.get("containers", [])), None),
        "logUrl": kept.get("logUri"),
        "conditions": conditions,
    }
    return {
        "apiVersion": API,
        "kind": "Revision",
        "metadata": objects.metadata(
            cloud,
            kept,
            SERVING,
            "revisions",
            labels=trimmed(labels),
            annotations=trimmed(annotations),
            ownerReferences=[parent],
        ),
        "spec": trimmed(pod),
        "status": trimmed(status),
    }


def _template(service: Json) -> Json:
    kept = service.get("template", {})
    annotations, pod = pod_from_v2(kept, notes.REVISION)
    pod["containerConcurrency"] = kept.get("maxInstanceRequestConcurrency")
    name_containers(pod, service["name"])
    about = {"name": kept.get("revision"), "labels": kept.get("labels"), "annotations": annotations}
    return {"metadata": trimmed(about), "spec": trimmed(pod)}


def _shown(target: Json) -> Json:
    made = {key: target[key] for key in ("percent", "tag") if key in target}
    if target.get("type") == NAMED:
        return {"revisionName": _short(target.get("revision", ""))} | made
    return {"latestRevision": True} | made


def _observed(kept: Json) -> Json:
    return {"observedGeneration": int(kept.get("observedGeneration", "0"))}


def _targets(kept: Json) -> list[Json]:
    """Each target of traffic with the revision that it means now."""
    found = []
    for target in kept.get("trafficStatuses", []):
        latest = target.get("type") != NAMED
        name = kept.get("latestReadyRevision", "") if latest else target.get("revision", "")
        about = {"revisionName": _short(name), "percent": target.get("percent"), "tag": target.get("tag")}
        found.append(trimmed(about | {"latestRevision": latest or None, "url": target.get("uri")}))
    return found


def _routed(kept: Json) -> Json:
    return {"traffic": _targets(kept), "url": kept.get("uri"), "address": trimmed({"url": kept.get("uri")})}


def _conditions(kept: Json, parts: tuple[str, ...]) -> list[Json]:
    """Ready, and its parts; a part that v2 does not speak of is where Ready is."""
    ready = kept.get("terminalCondition", {})
    return [objects.condition(ready, "Ready"), *(_view(kept, part, part) for part in parts)]


def _view(kept: Json, part: str, kind: str = "Ready") -> Json:
    ready = kept.get("terminalCondition", {})
    settled = ready.get("state") in ("CONDITION_SUCCEEDED", "CONDITION_FAILED")
    found = next((c for c in kept.get("conditions", []) if c.get("type") == part and settled), ready)
    return objects.condition(found, kind)


def _active(ready: Json, active: bool) -> Json:
    """Whether requests can reach a revision; where not, it is retired and can be reached again at any time."""
    made = objects.condition(ready, "Active") | {"severity": "Info", "status": "True" if active else "False"}
    made.pop("message", None)
    return made | ({} if active else {"reason": "Retired"})


def _part(cloud: Cloud, kept: Json, kind: str) -> Json:
    owner = {"apiVersion": API, "kind": "Service", "name": _short(kept["name"]), "uid": kept.get("uid", "")}
    return objects.metadata(cloud, kept, SERVING, kind, ownerReferences=[owner | {"controller": True}])


def _short(name: str) -> str:
    return name.rpartition("/")[2]
