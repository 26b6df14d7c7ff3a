"""Calls of Cloud Run v1 as gcloud makes them, for its tests."""

import asyncio
import json
from typing import Any

from tests.local_cloud.cloud_places import LOCATION, PROJECT
from tests.local_cloud.image import until
from tests.local_cloud.run_client import IMAGE, Answer, Runner, http

SPACE = f"/apis/serving.knative.dev/v1/namespaces/{PROJECT}"


def call(run: Runner, verb: str, path: str, body: Any = None, region: str = LOCATION, **headers: str) -> Answer:
    """A call as gcloud makes it: the region stands in the host's name."""
    data = None if body is None else json.dumps(body).encode()
    host = {"Host": f"{region}-run.googleapis.com"} if region else {}
    return http(run.place.rest + path, method=verb, body=data, headers=host | headers)


def ok(run: Runner, verb: str, path: str, body: Any = None, region: str = LOCATION) -> Any:
    answer = call(run, verb, path, body, region)
    assert answer.status == 200, answer.body
    return answer.json


def knative(name: str, **container: Any) -> dict[str, Any]:
    """A service as YAML files and Terraform's google_cloud_run_service write it."""
    spec = {"containers": [{"image": IMAGE, **container}]}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": PROJECT},
        "spec": {"template": {"spec": spec}},
    }


def deployed(run: Runner, body: dict[str, Any]) -> Any:
    """A service that was made in v1, when its deployment is over."""
    ok(run, "POST", f"{SPACE}/services", body)
    path = f"{SPACE}/services/{body['metadata']['name']}"

    def over() -> bool:
        return bool(ok(run, "GET", path)["status"]["conditions"][0]["status"] != "Unknown")

    asyncio.run(until(over, patience=60))
    return ok(run, "GET", path)
