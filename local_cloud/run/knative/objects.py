"""What all Knative objects share: metadata, conditions, lists with selectors and pages, the answer of a delete.

Namespaces are projects. The v1 surface has one host a region and no region in its paths, so the region is read from
the host's name (`us-central1-run.googleapis.com`), as gcloud writes it before any endpoint.
Source: ObjectMeta, ListMeta, GoogleCloudRunV1Condition, Status of run v1.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError, invalid
from local_cloud.registry import HttpRequest
from local_cloud.run.knative.annotations import refused
from local_cloud.run.knative.template import trimmed

Json = dict[str, Any]

SERVING, RUN_V1 = "serving.knative.dev", "run.googleapis.com"
LOCATION_LABEL = "cloud.googleapis.com/location"
_REGION = re.compile(r"([a-z]+-[a-z]+\d+)-")
_STATUS = {"CONDITION_SUCCEEDED": "True", "CONDITION_FAILED": "False"}
_SELECTOR = re.compile(r"\s*([^\s,=!()]+)\s*(?:(==?|!=)\s*([^\s,()]*)|in\s*\(([^)]*)\))?\s*(?:,|$)")
MOST = 1000


def region(cloud: Cloud, request: HttpRequest, default: str = "") -> str:
    """The region that the request's host speaks for; without one the default, or the cloud's own."""
    found = _REGION.match(request.headers.get("host", ""))
    return found[1] if found else default or cloud.location


def place(cloud: Cloud, request: HttpRequest, default: str = "") -> str:
    """`projects/P/locations/L` of a namespace's request."""
    project = cloud.canonical(f"projects/{request.params['namespace']}")
    return f"{project}/locations/{region(cloud, request, default)}"


def metadata(cloud: Cloud, kept: Json, group: str, kind: str, **more: Any) -> Json:
    """The metadata of a v2 resource; `kind` is the plural of its path."""
    _, _, _, where, *_, name = kept["name"].split("/")
    number = cloud.settings.project_number
    return trimmed(
        {
            "name": name,
            "namespace": number,
            "selfLink": f"/apis/{group}/v1/namespaces/{number}/{kind}/{name}",
            "uid": kept.get("uid"),
            "resourceVersion": kept.get("etag", "").strip('"'),
            "generation": int(kept.get("generation", "1")),
            "creationTimestamp": kept.get("createTime"),
            "deletionTimestamp": kept.get("deleteTime"),
            "labels": {**kept.get("labels", {}), LOCATION_LABEL: where, **more.pop("labels", {})},
            "annotations": more.pop("annotations", {}),
            **more,
        }
    )


def check_identity(cloud: Cloud, given: Json, api: str, kind: str, name: str = "") -> str:
    """The name of a body that must be of one kind, in the request's namespace; else INVALID_ARGUMENT."""
    about = given.get("metadata", {})
    if given.get("apiVersion") != api:
        raise refused("apiVersion", f"'{given.get('apiVersion', '')}' must be '{api}'.")
    if given.get("kind") != kind:
        raise refused("kind", f"'{given.get('kind', '')}' must be '{kind}'.")
    if not about.get("name"):
        raise refused("metadata.name", "a name is required.")
    if name and about["name"] != name:
        raise refused("metadata.name", f"'{about['name']}' must be the '{name}' of the URL.")
    namespace = about.get("namespace", cloud.project)
    if namespace not in (cloud.project, cloud.settings.project_number):
        raise refused("metadata.namespace", f"'{namespace}' must be the project's id or number.")
    return str(about["name"])


def check_version(given: Json, etag: str) -> None:
    """Refuse a change of an object that somebody else has changed since it was read."""
    wanted, current = given.get("metadata", {}).get("resourceVersion", ""), etag.strip('"')
    if wanted and wanted != current:
        name = given["metadata"]["name"]
        raise ApiError(
            "ABORTED",
            f"Conflict for resource '{name}': version '{wanted}' was specified but current version is '{current}'.",
        )


def condition(kept: Json, kind: str = "") -> Json:
    """A condition of v2 as v1 shows it."""
    reason = kept.get("revisionReason") or kept.get("executionReason") or kept.get("reason") or ""
    return trimmed(
        {
            "type": kind or kept.get("type"),
            "status": _STATUS.get(kept.get("state", ""), "Unknown"),
            "reason": "".join(word.title() for word in reason.split("_")),
            "message": kept.get("message"),
            "lastTransitionTime": kept.get("lastTransitionTime"),
            "severity": kept.get("severity", "").title() if kept.get("severity") != "ERROR" else None,
        }
    )


def listed(items: Sequence[Json], request: HttpRequest, api: str, kind: str) -> Json:
    """A list object: what the label selector leaves, one page of it (`limit`, `continue`)."""
    selected = list(_selected(items, request.arg("labelSelector")))
    limit, start = _number(request.arg("limit"), "limit"), _number(request.arg("continue"), "continue")
    end = start + min(limit or MOST, MOST)
    about = {"continue": str(end)} if end < len(selected) else {}
    return {"apiVersion": api, "kind": f"{kind}List", "metadata": about, "items": selected[start:end]}


def _number(text: str, name: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise invalid(f"'{text}' is no value of {name}.")
    return int(text)


def _selected(items: Iterable[Json], selector: str) -> Iterable[Json]:
    tests: list[Callable[[Mapping[str, str]], bool]] = []
    at = 0
    while at < len(selector):
        found = _SELECTOR.match(selector, at)
        if found is None or found.end() == at:
            raise invalid(f"The label selector '{selector}' cannot be read from '{selector[at:]}' on.")
        tests.append(_test(found))
        at = found.end()
    for item in items:
        labels = item["metadata"].get("labels", {})
        if all(test(labels) for test in tests):
            yield item


def _test(found: "re.Match[str]") -> Callable[[Mapping[str, str]], bool]:
    key, operator, value, several = found.groups()
    if several is not None:
        values = {each.strip() for each in several.split(",")}
        return lambda labels: labels.get(key) in values
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator:
        return lambda labels: labels.get(key) == value
    return lambda labels: key in labels


def selected_value(request: HttpRequest, label: str) -> str:
    """The value that a selector asks of one label, so that not all has to be read."""
    for key, operator, value, _ in _SELECTOR.findall(request.arg("labelSelector")):
        if key == label and operator in ("=", "=="):
            return str(value)
    return ""


def deleted(group: str, kind: str, kept: Json) -> Json:
    """The Status object that a delete answers."""
    details = {"name": kept["name"].rpartition("/")[2], "group": group, "kind": kind, "uid": kept.get("uid", "")}
    return {"status": "Success", "details": details}
