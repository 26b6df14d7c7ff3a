"""Each field of Cloud Run v1's objects: read back as it was said, refused by its name, never an error of ours."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.knative import SPACE, call, deployed, knative, ok
from tests.local_cloud.run_client import IMAGE, Runner


@pins(
    "run",
    "The v1 surface and gcloud",
    "Annotations of v1 are fields of v2 and read back",
    documented="RevisionTemplate",
)
def test_all_that_v1_can_say_reads_back_as_it_was_said(run: Runner) -> None:
    wanted = knative("rich")
    wanted["metadata"]["annotations"] = said = {
        "run.googleapis.com/ingress": "internal-and-cloud-load-balancing",
        "run.googleapis.com/description": "all of it",
        "run.googleapis.com/client-name": "a-tool",
        "run.googleapis.com/client-version": "1.2",
        "run.googleapis.com/launch-stage": "BETA",
        "run.googleapis.com/binary-authorization": "default",
        "run.googleapis.com/minScale": "1",
        "run.googleapis.com/maxScale": "9",
        "run.googleapis.com/custom-audiences": '["https://x.example"]',
        "run.googleapis.com/invoker-iam-disabled": "true",
        "run.googleapis.com/default-url-disabled": "true",
        "example.com/mine": "kept",
    }
    annotations = {
        "autoscaling.knative.dev/minScale": "1",
        "autoscaling.knative.dev/maxScale": "3",
        "run.googleapis.com/vpc-access-egress": "private-ranges-only",
        "run.googleapis.com/network-interfaces": '[{"network":"n","subnetwork":"s","tags":["t"]}]',
        "run.googleapis.com/execution-environment": "gen2",
        "run.googleapis.com/encryption-key": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "run.googleapis.com/sessionAffinity": "true",
        "run.googleapis.com/cpu-throttling": "false",
        "run.googleapis.com/startup-cpu-boost": "true",
        "run.googleapis.com/health-check-disabled": "true",
        "run.googleapis.com/container-dependencies": '{"first":["second"]}',
        "run.googleapis.com/cloudsql-instances": "p:r:one,p:r:two",
        "example.com/mine": "kept",
    }
    limits = {"limits": {"cpu": "1", "memory": "512Mi"}}
    probe = {"initialDelaySeconds": 1, "timeoutSeconds": 2, "periodSeconds": 3, "failureThreshold": 4}
    headers = [{"name": "X-Probe", "value": "1"}]
    first = {
        "name": "first", "image": IMAGE, "command": ["serve"], "args": ["a"], "workingDir": "/srv",
        "env": [{"name": "A", "value": "1"}], "ports": [{"name": "h2c", "containerPort": 9000}], "resources": limits,
        "startupProbe": probe | {"httpGet": {"path": "/up", "port": 9000, "httpHeaders": headers}},
        "livenessProbe": probe | {"grpc": {"port": 9000, "service": "s"}},
        "volumeMounts": [{"name": "keys", "mountPath": "/keys"}, {"name": "scratch", "mountPath": "/scratch"}],
    }  # fmt: skip
    second = {"name": "second", "image": IMAGE, "resources": limits}
    run.add_secret("RICH_KEY", b"x")
    volumes = [
        {"name": "keys", "secret": {"secretName": "RICH_KEY", "items": [{"key": "1", "path": "one", "mode": 256}]}},
        {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]
    wanted["spec"]["template"] = template = {
        "metadata": {"name": "rich-one", "labels": {"team": "pay"}, "annotations": annotations},
        "spec": {
            "containers": [first, second], "volumes": volumes, "containerConcurrency": 5, "timeoutSeconds": 30,
            "serviceAccountName": run.account("rich-runner"),
        },
    }  # fmt: skip
    shown = ok(run, "POST", f"{SPACE}/services?dryRun=all", wanted)
    assert shown["spec"]["template"] == template
    assert said.items() <= shown["metadata"]["annotations"].items()


def changed(path: str, value: Any) -> dict[str, Any]:
    body = knative("wrong")
    *above, last = path.split(".")
    place: Any = body
    for part in above:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[last] = value
    return body


@pins(
    "run", "The v1 surface and gcloud", "Refusals name v1's own fields, in Google's envelope", observed="issue threads"
)
@pytest.mark.parametrize(
    ("path", "value", "field", "said"),
    [
        ("kind", "Job", "kind", "must be 'Service'"),
        ("apiVersion", "v1", "apiVersion", "must be 'serving.knative.dev/v1'"),
        ("metadata.name", "", "metadata.name", "a name is required"),
        ("metadata.name", "Upper", "metadata.name", "lower-case"),
        ("metadata.namespace", "other", "metadata.namespace", "must be the project's id or number"),
        ("spec.template.metadata.name", "x-1", "spec.template.metadata.name", "prefixed"),
        ("spec.template.spec.timeoutSeconds", 4000, "spec.template.spec.timeoutSeconds", "between 1s and 3600s"),
        ("spec.template.spec.containers", [], "spec.template.spec.containers", "at least one container"),
        ("spec.template.spec.containers.0.image", "", "spec.template.spec.containers[0].image", "needs an image"),
        ("spec.traffic", [{"revisionName": "wrong-x", "percent": 100}], "spec.traffic[0].revisionName", "not exist"),
        ("spec.traffic", [{"latestRevision": True, "percent": 9}], "spec.traffic", "must sum to 100"),
        (
            "spec.template.metadata.annotations",
            {"autoscaling.knative.dev/maxScale": "many"},
            "spec.template.metadata.annotations[autoscaling.knative.dev/maxScale]",
            "whole number",
        ),
        ("metadata.annotations", {"run.googleapis.com/ingress": "x"}, "metadata.annotations[run", "must be one of all"),
        ("spec.nonsense", 1, "service.spec", 'Unknown name "nonsense"'),
        ("spec.template.spec.containers", "x", "service.spec.template.spec.containers", "Invalid value"),
        ("spec.template.spec.timeoutSeconds", 2**40, "service.spec.template.spec.timeoutSeconds", "TYPE_INT32"),
    ],
)
def test_wrong_service_is_refused_by_its_field(run: Runner, path: str, value: Any, field: str, said: str) -> None:
    answer = call(run, "POST", f"{SPACE}/services", changed(path, value))
    assert answer.status == 400
    error = answer.json["error"]
    [violation] = error["details"][0]["fieldViolations"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert violation["field"].startswith(field)
    assert said in violation["description"]
    assert call(run, "GET", f"{SPACE}/services/wrong").status == 404


RUBBISH: list[Any] = [
    None, True, -1, 0, 1.5, 2**70, "", "x", "\x00", "9" * 50, [], [[]], [None], {}, {"": {}}, {"a": 1}, [{"name": 7}],
    "{" * 2000, {"run.googleapis.com/custom-audiences": "[" * 5000}, {"run.googleapis.com/network-interfaces": "[1]"},
    {"run.googleapis.com/container-dependencies": '{"a": 1}'}, {"run.googleapis.com/cpu-throttling": "perhaps"},
    {"autoscaling.knative.dev/minScale": "²"}, {"run.googleapis.com/secrets": "a:b,,:"},
]  # fmt: skip


@pins("run", "The v1 surface and gcloud", "Rubbish in any field is refused or kept", ours="no 500")
@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_rubbish_in_any_field_is_no_error_of_our_own(run: Runner, verb: str) -> None:
    whole = deployed(run, knative(f"rubbish-{verb.lower()}"))
    del whole["metadata"]["resourceVersion"]  # the field's own refusal would hide the others
    name = whole["metadata"]["name"]
    path = f"{SPACE}/services" + (f"/{name}" if verb == "PUT" else "")
    tried = 0
    for place in places(whole):
        for value in RUBBISH:
            body = json.loads(json.dumps(whole))
            target = body
            for part in place[:-1]:
                target = target[part]
            target[place[-1]] = value
            answer = call(run, verb, f"{path}?dryRun=all", body)
            assert answer.status < 500, (place, value, answer.body)
            tried += 1
    assert tried > 500
    assert ok(run, "GET", f"{SPACE}/services/{name}")["metadata"]["generation"] == 1


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value inside a body that is read."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        if key not in ("status", "ownerReferences"):
            yield (*above, key)
            yield from places(item, (*above, key))
