"""A template's containers and volumes, as Knative writes them and as v2 keeps them.

Both directions work on JSON values. What Cloud Run v1 says by an annotation of the template (throttled CPU, Cloud SQL,
the order of containers) is a field of v2's containers and volumes.
Source: Container, Volume, EnvVar of run v1 and v2.
"""

import json
from collections.abc import Mapping
from typing import Any

from local_cloud.run.knative import annotations as notes
from local_cloud.run.knative.annotations import Field

Json = dict[str, Any]

_SAME = ("name", "image", "command", "args", "workingDir", "baseImageUri")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_TIMES = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold")
_GCSFUSE = "gcsfuse.run.googleapis.com"
SQL_VOLUME, SQL_PATH = "cloudsql", "/cloudsql"


# From Knative


def pod_to_v2(annotations: Mapping[str, str], pod: Json, table: Mapping[str, Field]) -> tuple[Json, dict[str, str]]:
    """The fields of v2 that a pod and its annotations mean, and the annotations that are left."""
    at = "spec.template.metadata.annotations"
    fields, left = notes.take(annotations, table, at)
    throttled = notes.parsed(notes.truth, left.pop(notes.THROTTLING, "true"), f"{at}[{notes.THROTTLING}]")
    boosted = notes.parsed(notes.truth, left.pop(notes.BOOST, "false"), f"{at}[{notes.BOOST}]")
    after = notes.parsed(notes.structure(dict), left.pop(notes.DEPENDENCIES, "{}"), f"{at}[{notes.DEPENDENCIES}]")
    secrets = _aliases(left.pop(notes.SECRETS, ""))
    containers = [_container(container, secrets) for container in pod.get("containers", [])]
    for container in containers:
        container["resources"] |= {"cpuIdle": throttled, "startupCpuBoost": boosted}
        if names := after.get(container.get("name", "")):
            container["dependsOn"] = names
    volumes = [_volume(volume, secrets) for volume in pod.get("volumes", [])]
    if instances := left.pop(notes.CLOUD_SQL, ""):
        volumes.append({"name": SQL_VOLUME, "cloudSqlInstance": {"instances": instances.split(",")}})
        if containers:
            containers[0].setdefault("volumeMounts", []).append({"name": SQL_VOLUME, "mountPath": SQL_PATH})
    fields |= {"containers": containers, "volumes": volumes}
    if account := pod.get("serviceAccountName"):
        fields["serviceAccount"] = account
    if seconds := pod.get("timeoutSeconds"):
        fields["timeout"] = f"{seconds}s"
    if accelerator := pod.get("nodeSelector", {}).get(f"{notes.RUN}/accelerator"):
        fields["nodeSelector"] = {"accelerator": accelerator}
    return fields, notes.own(left)


def _aliases(text: str) -> dict[str, str]:
    """`alias:projects/P/secrets/S,...`: names that stand for secrets."""
    pairs = (pair.partition(":") for pair in text.split(",") if pair)
    return {alias.strip(): name.strip() for alias, _, name in pairs}


def _container(given: Json, secrets: Mapping[str, str]) -> Json:
    made = {name: given[name] for name in _SAME if name in given}
    made["env"] = [variable(each, secrets) for each in given.get("env", [])]
    made["resources"] = {"limits": given.get("resources", {}).get("limits", {})}
    made["ports"] = [{k: p[k] for k in ("name", "containerPort") if k in p} for p in given.get("ports", [])]
    for name in _PROBES:
        if name in given:
            made[name] = _probe(given[name])
    mounts = given.get("volumeMounts", [])
    made["volumeMounts"] = [{k: m[k] for k in ("name", "mountPath", "subPath") if k in m} for m in mounts]
    return made


def variable(given: Json, secrets: Mapping[str, str]) -> Json:
    """One environment variable."""
    made: Json = {"name": given.get("name", "")}
    reference = given.get("valueFrom", {}).get("secretKeyRef")
    if reference is None:
        made["value"] = given.get("value", "")
    else:
        secret = reference.get("name", "")
        found = {"secret": secrets.get(secret, secret), "version": reference.get("key", "")}
        made["valueSource"] = {"secretKeyRef": found}
    return made


def _probe(given: Json) -> Json:
    made = {name: given[name] for name in _TIMES if name in given}
    for kind, names in (("httpGet", ("path", "port")), ("tcpSocket", ("port",)), ("grpc", ("port", "service"))):
        if kind in given:
            made[kind] = {name: given[kind][name] for name in names if name in given[kind]}
    if headers := given.get("httpGet", {}).get("httpHeaders"):
        made["httpGet"]["httpHeaders"] = headers
    return made


def _volume(given: Json, secrets: Mapping[str, str]) -> Json:
    made: Json = {"name": given.get("name", "")}
    if secret := given.get("secret"):
        name = secret.get("secretName", "")
        made["secret"] = {"secret": secrets.get(name, name)} | {k: secret[k] for k in ("defaultMode",) if k in secret}
        made["secret"]["items"] = [
            {"version": item.get("key", "")} | {k: item[k] for k in ("path", "mode") if k in item}
            for item in secret.get("items", [])
        ]
    elif "emptyDir" in given:
        made["emptyDir"] = {"medium": "MEMORY"} | {k: v for k, v in given["emptyDir"].items() if k == "sizeLimit"}
    elif csi := given.get("csi"):
        if csi.get("driver") != _GCSFUSE:
            raise notes.refused("spec.template.spec.volumes", f"the only CSI driver is {_GCSFUSE}.")
        bucket = csi.get("volumeAttributes", {}).get("bucketName", "")
        made["gcs"] = {"bucket": bucket, "readOnly": csi.get("readOnly", False)}
        if options := csi.get("volumeAttributes", {}).get("mountOptions"):
            made["gcs"]["mountOptions"] = options.split(",")
    elif nfs := given.get("nfs"):
        made["nfs"] = nfs
    return made


# To Knative


def pod_from_v2(kept: Json, table: Mapping[str, Field]) -> tuple[dict[str, str], Json]:
    """The annotations and the pod that show what a v2 template keeps."""
    annotations = {**kept.get("annotations", {}), **notes.show(kept, table)}
    containers, volumes = kept.get("containers", []), kept.get("volumes", [])
    resources = [container.get("resources", {}) for container in containers]
    if resources and not any(each.get("cpuIdle") for each in resources):
        annotations[notes.THROTTLING] = "false"
    if any(each.get("startupCpuBoost") for each in resources):
        annotations[notes.BOOST] = "true"
    if after := {c.get("name", ""): c["dependsOn"] for c in containers if c.get("dependsOn")}:
        annotations[notes.DEPENDENCIES] = json.dumps(after, separators=(",", ":"))
    databases = {v["name"]: v["cloudSqlInstance"].get("instances", []) for v in volumes if "cloudSqlInstance" in v}
    if databases:
        annotations[notes.CLOUD_SQL] = ",".join(instance for each in databases.values() for instance in each)
    pod: Json = {
        "containers": [_shown_container(container, databases) for container in containers],
        "serviceAccountName": kept.get("serviceAccount"),
        "timeoutSeconds": int(float(kept["timeout"].removesuffix("s"))) if "timeout" in kept else None,
        "volumes": [_shown_volume(volume) for volume in volumes if "cloudSqlInstance" not in volume],
    }
    if accelerator := kept.get("nodeSelector", {}).get("accelerator"):
        pod["nodeSelector"] = {f"{notes.RUN}/accelerator": accelerator}
    return annotations, trimmed(pod)


def name_containers(pod: Json, owner: str) -> None:
    """Show a name where none was given: SERVICE-1, as Cloud Run calls it."""
    for index, container in enumerate(pod.get("containers", []), 1):
        container.setdefault("name", f"{owner.rpartition('/')[2]}-{index}")


def trimmed(value: Json) -> Json:
    """Without what is empty."""
    return {key: item for key, item in value.items() if item not in (None, [], {}, "")}


def _secret_id(name: str) -> str:
    return name.rpartition("/")[2]


def _shown_container(kept: Json, databases: Mapping[str, Any]) -> Json:
    made = {name: kept.get(name) for name in (*_SAME, "ports", *_PROBES)}
    made["env"] = [shown_variable(each) for each in kept.get("env", [])]
    made["resources"] = trimmed({"limits": kept.get("resources", {}).get("limits")})
    made["volumeMounts"] = [mount for mount in kept.get("volumeMounts", []) if mount.get("name") not in databases]
    return trimmed(made)


def shown_variable(kept: Json) -> Json:
    """One environment variable."""
    reference = kept.get("valueSource", {}).get("secretKeyRef")
    if reference is None:
        return trimmed({"name": kept.get("name", ""), "value": kept.get("value")})
    found = {"name": _secret_id(reference.get("secret", "")), "key": reference.get("version", "")}
    return {"name": kept.get("name", ""), "valueFrom": {"secretKeyRef": found}}


def _shown_volume(kept: Json) -> Json:
    made: Json = {"name": kept.get("name", "")}
    if secret := kept.get("secret"):
        made["secret"] = trimmed(
            {
                "secretName": _secret_id(secret.get("secret", "")),
                "defaultMode": secret.get("defaultMode"),
                "items": [
                    trimmed({"key": i.get("version"), "path": i.get("path"), "mode": i.get("mode")})
                    for i in secret.get("items", [])
                ],
            }
        )
    elif "emptyDir" in kept:
        made["emptyDir"] = trimmed({"medium": "Memory", "sizeLimit": kept["emptyDir"].get("sizeLimit")})
    elif gcs := kept.get("gcs"):
        attributes = {"bucketName": gcs.get("bucket"), "mountOptions": ",".join(gcs.get("mountOptions", []))}
        csi = {"driver": _GCSFUSE, "readOnly": gcs.get("readOnly"), "volumeAttributes": trimmed(attributes)}
        made["csi"] = trimmed(csi)
    elif nfs := kept.get("nfs"):
        made["nfs"] = nfs
    return made
