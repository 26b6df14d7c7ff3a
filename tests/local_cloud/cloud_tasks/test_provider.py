"""The calls that the real gcp provider makes for a queue, and what it must read back from them.

Pinned from the recorded calls (shared/conformance/provider_calls.json), in their order: create, refresh, update, pause,
destroy.
"""

import json
from typing import Any

import pytest
import requests

from tests.local_cloud.cloud_places import PARENT, PROJECT, ROOT, Place

RECORD = ROOT.parent / "shared" / "conformance" / "provider_calls.json"
QUEUE = f"{PARENT}/queues/split-payment-queue"
RATES = {"maxConcurrentDispatches": 50, "maxDispatchesPerSecond": 100}
RETRY = {"maxAttempts": 5, "maxBackoff": "60s", "maxDoublings": 5, "minBackoff": "1s"}
LOGS = {"samplingRatio": 1}


def test_what_the_provider_writes_reads_back(place: Place) -> None:
    def call(verb: str, path: str, body: Any = None) -> Any:
        answer = requests.request(verb, f"{place.rest}/v2/{path}", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    body = {"name": QUEUE, "rateLimits": RATES, "retryConfig": RETRY, "stackdriverLoggingConfig": LOGS}
    call("POST", f"{PARENT}/queues", body)
    read = call("GET", QUEUE)
    assert read["rateLimits"] == {**RATES, "maxBurstSize": 20}
    assert read["retryConfig"] == RETRY
    assert read["stackdriverLoggingConfig"] == LOGS
    assert read["state"] == "RUNNING"

    policy = call("POST", f"{QUEUE}:getIamPolicy")
    account: Any = {"accountId": "gcsplit", "serviceAccount": {}}
    requests.post(f"{place.rest}/v1/projects/{PROJECT}/serviceAccounts", json=account, timeout=20).raise_for_status()
    role: Any = {"roleId": "sluiceTaskCreator", "role": {"includedPermissions": ["cloudtasks.tasks.create"]}}
    requests.post(f"{place.rest}/v1/projects/{PROJECT}/roles", json=role, timeout=20).raise_for_status()
    member = f"serviceAccount:gcsplit@{PROJECT}.iam.gserviceaccount.com"
    bindings = [{"role": f"projects/{PROJECT}/roles/sluiceTaskCreator", "members": [member]}]
    body = {"policy": {"bindings": bindings, "etag": policy["etag"], "version": 3}}
    kept = call("POST", f"{QUEUE}:setIamPolicy", body)
    assert call("POST", f"{QUEUE}:getIamPolicy")["bindings"] == bindings

    faster = {**RATES, "maxDispatchesPerSecond": 120}
    body = {"rateLimits": faster, "retryConfig": RETRY, "stackdriverLoggingConfig": LOGS}
    call("PATCH", f"{QUEUE}?updateMask=rateLimits", body)
    read = call("GET", QUEUE)
    assert read["rateLimits"] == {**faster, "maxBurstSize": 24}
    call("POST", f"{QUEUE}:pause")
    assert call("GET", QUEUE)["state"] == "PAUSED"

    call("POST", f"{QUEUE}:setIamPolicy", {"policy": {"etag": kept["etag"], "version": 3}})
    assert call("DELETE", QUEUE) == {}
    assert requests.get(f"{place.rest}/v2/{QUEUE}", timeout=20).status_code == 404


@pytest.mark.skipif(not RECORD.exists(), reason=f"the record is not at hand: {RECORD}")
def test_no_recorded_call_is_missing_here() -> None:
    record = json.loads(RECORD.read_text())
    phases = ("create", "refresh", "update", "pause", "destroy")
    calls = {call["call"] for phase in phases for call in record[phase] if call["endpoint"] == "cloudTasks"}
    base = "/v2/projects/rec/locations/us-central1/queues"
    queue = f"{base}/split-payment-queue"
    known = {f"POST {base}", *(f"{verb} {queue}" for verb in ("GET", "PATCH", "DELETE"))}
    assert calls == known | {f"POST {queue}:{verb}" for verb in ("getIamPolicy", "setIamPolicy", "pause")}
