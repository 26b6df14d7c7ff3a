"""The engine makes the calls that the real provider was recorded making, with the same bodies, from the same inputs.

The recording is a file of the workshop and is not part of the project; where it is missing the test is skipped and
says so. Repeats within a phase are left out of the recording, and so they are here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_engine.cloud import Cloud
from local_engine.resource_type import Defaults
from local_engine.resources import registry
from local_engine.shapes import faults, sealed
from local_engine.values import plain
from tests.local_engine.standin import StandIn
from tests.local_engine.test_schema import SHARED

PROVIDER_LABEL = {"goog-pulumi-provisioned": "true"}
#: The names that the cloud chose while the recording was made.
CHOSEN = {"notificationChannels": "gen5", "dashboards": "gen8", "alertPolicies": "gen14"}
#: What the recorded update and pause changed, as inputs.
UPDATES: dict[str, list[dict[str, Any]]] = {
    "gcsplit": [{"displayName": "split"}],
    "split-payment-queue": [
        {"rateLimits": {"maxConcurrentDispatches": 50, "maxDispatchesPerSecond": 120}},
        {"desiredState": "PAUSED"},
    ],
    "token-expired": [{"filter": 'jsonPayload.event="token_dead"'}],
    "sweep": [{"schedule": "*/2 * * * *"}],
    "paynow-events": [{"messageRetentionDuration": "864000s"}],
    "depth": [{"conditions": []}],
    "paynow-sub": [{"ackDeadlineSeconds": 300}],
    "ops": [{"labels": {"email_address": "oncall@example.com"}}],
    "dash": [
        {
            "dashboardJson": json.dumps(
                {"displayName": "Cloud Tasks", "gridLayout": {"widgets": [{"title": "t", "text": {"content": "d"}}]}}
            )
        }
    ],
    "db": [{"settings": {"availabilityType": "ZONAL"}}],
}


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    path = SHARED / "conformance" / "provider_calls.json"
    if not path.exists():
        pytest.skip(f"the recording is not at {path}; set SLUICE_SHARED to compare with it")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _modelled(recording: dict[str, Any]) -> list[dict[str, Any]]:
    return [resource for resource in recording["resources"] if resource["type"] in registry()]


def _calls(recording: dict[str, Any], *phases: str) -> set[str]:
    return {
        _line(call["endpoint"], call["call"], call.get("query"), call.get("body"))
        for phase in phases
        for call in recording[phase]
    }


def _line(endpoint: str, call: str, query: Any, body: Any) -> str:
    text = json.dumps(body, sort_keys=True)
    # Etags are the answering side's.
    etag = json.loads(text, object_hook=lambda found: {key: value for key, value in found.items() if key != "etag"})
    return f"{endpoint} {call} {json.dumps(query or {}, sort_keys=True)} {json.dumps(etag, sort_keys=True)}"


def _made(cloud: StandIn) -> set[str]:
    return {_line(call.endpoint, call.line, call.query, call.body) for call in cloud.calls}


class Replayer:
    """Creates, changes and deletes the recorded resources."""

    def __init__(self, standin: StandIn, recording: dict[str, Any]) -> None:
        endpoints = {
            key.removeprefix("gcp:").removesuffix("CustomEndpoint"): value
            for key, value in standin.config().items()
            if key.endswith("Endpoint")
        }
        standin.chosen = dict(CHOSEN)
        self.cloud = Cloud(endpoints, attribution=PROVIDER_LABEL)
        self.ids: dict[str, str] = {}
        self.inputs: dict[str, dict[str, Any]] = {}
        for resource in _modelled(recording):
            kind = registry()[resource["type"]]
            inputs = kind.defaults(Defaults("rec", "us-central1")) | resource["inputs"]
            if "secretData" in inputs:
                inputs["secretData"] = "secret"
            assert list(faults(kind.inputs, sealed(kind.inputs, inputs))) == []
            self.inputs[resource["name"]] = plain(inputs)

    def create(self, recording: dict[str, Any]) -> None:
        order = ("Account", "IAMCustomRole", "Secret", "Queue", "DatabaseInstance", "Service")
        first = sorted(_modelled(recording), key=lambda resource: resource["type"].split(":")[-1] not in order)
        for resource in first:
            kind = registry()[resource["type"]]
            self.ids[resource["name"]], _ = kind.create(self.cloud, self.inputs[resource["name"]])

    def update(self, recording: dict[str, Any]) -> None:
        kinds = {resource["name"]: registry()[resource["type"]] for resource in _modelled(recording)}
        for name, changes in UPDATES.items():
            for change in changes:
                old, new = self.inputs[name], self.inputs[name] | change
                if name == "depth":
                    new["conditions"] = json.loads(json.dumps(old["conditions"]))
                    new["conditions"][0]["conditionThreshold"]["thresholdValue"] = 200
                if name == "db":
                    new["settings"] = old["settings"] | change["settings"]
                kinds[name].update(self.cloud, self.ids[name], old, new, frozenset(change))
                self.inputs[name] = new

    def delete(self, recording: dict[str, Any]) -> None:
        for resource in reversed(_modelled(recording)):
            kind = registry()[resource["type"]]
            kind.delete(self.cloud, self.ids[resource["name"]], self.inputs[resource["name"]])


def test_ids_are_the_providers(cloud: StandIn, recording: dict[str, Any]) -> None:
    replayer = Replayer(cloud, recording)
    replayer.create(recording)
    expected = {resource["name"]: resource["id"] for resource in _modelled(recording)}
    # The stand-in of the recording named a metric by its bare name; here the id is its path.
    del expected["token-expired"], replayer.ids["token-expired"]
    assert replayer.ids == expected


def test_creates_are_the_providers(cloud: StandIn, recording: dict[str, Any]) -> None:
    Replayer(cloud, recording).create(recording)
    assert _calls(recording, "create") - _made(cloud) == set()
    extra = {line for line in _made(cloud) - _calls(recording, "create") if " GET " not in line}
    assert extra == set()


def test_updates_are_the_providers(cloud: StandIn, recording: dict[str, Any]) -> None:
    replayer = Replayer(cloud, recording)
    replayer.create(recording)
    cloud.calls.clear()
    replayer.update(recording)
    ours = {line for line in _made(cloud) if " GET " not in line}
    assert ours
    assert ours <= _calls(recording, "update", "pause")


def test_the_recorded_service_update_is_ours(cloud: StandIn, recording: dict[str, Any]) -> None:
    replayer = Replayer(cloud, recording)
    replayer.create(recording)
    cloud.calls.clear()
    old = replayer.inputs["gcsplit-svc"]
    new = json.loads(json.dumps(old))
    new["template"]["revision"] = "gcsplit-def"
    new["template"]["containers"][0]["envs"][0]["value"] = "y"
    by_revision = new["traffics"][0]["type"]
    new["traffics"].append({"revision": "gcsplit-def", "tag": "canary", "percent": 0, "type": by_revision})
    kind = registry()["gcp:cloudrunv2/service:Service"]
    kind.update(replayer.cloud, replayer.ids["gcsplit-svc"], old, new, frozenset({"template", "traffics"}))
    ours = {line for line in _made(cloud) if "PATCH" in line}
    assert ours <= _calls(recording, "pause")
    assert len(ours) == 1


def test_deletes_are_the_providers(cloud: StandIn, recording: dict[str, Any]) -> None:
    replayer = Replayer(cloud, recording)
    replayer.create(recording)
    cloud.calls.clear()
    replayer.delete(recording)
    second_version = "versions/2:destroy"
    theirs = {line for line in _calls(recording, "destroy") if second_version not in line}
    ours = {line.replace("versions/1:destroy", second_version) for line in _made(cloud)}
    assert {line for line in theirs if " GET " not in line} - ours == set()
