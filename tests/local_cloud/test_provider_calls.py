"""Every recorded call of the real gcp provider to the emulated APIs is accepted, from create to destroy."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import ROOT
from tests.local_cloud.image import tiny_image
from tests.local_cloud.run_client import http

SHARED = Path(os.environ.get("SLUICE_SHARED", ROOT.parent / "shared"))
RECORD = SHARED / "conformance" / "provider_calls.json"
#: Endpoints that the local cloud does not have yet.
MISSING: set[str] = set()
PHASES = ("create", "refresh", "update", "pause", "destroy")
GENERATED = ("/notificationChannels", "/dashboards", "/alertPolicies")


class Replay:
    """Sends recorded calls, putting in the ids and etags that this cloud gave."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.ids: dict[str, str] = {}
        self.etags: dict[str, str] = {}

    def send(self, call: dict[str, Any], upcoming: list[str]) -> tuple[int, Any]:
        verb, path = call["call"].split(" ", 1)
        body = call.get("body")
        if path.endswith(":setIamPolicy"):
            assert body is not None
            body["policy"]["etag"] = self.etags[path.rpartition(":")[0]]
        data = None if body is None else json.dumps(body)
        for recorded, real in self.ids.items():
            path = path.replace(recorded, real)
            data = data.replace(recorded, real) if data else data
        if query := call.get("query"):
            path += "?" + urlencode(query)
        answer = http(self.base + path, method=verb, body=data.encode() if data else None)
        found = answer.json if answer.body.startswith(b"{") else {}
        if verb == "POST" and path.endswith(GENERATED) and answer.status == 200:
            self.ids[upcoming.pop(0)] = found["name"].rpartition("/")[2]
        if ":getIamPolicy" in path:
            self.etags[call["call"].split(" ", 1)[1].rpartition(":")[0]] = found["etag"]
        return answer.status, found


@pins(
    "plain",
    "Control planes",
    "Cloud SQL Admin v1beta4: instances, databases, users, operations; every operation is DONE at "
    "once, no server is run",
    ours="Cloud SQL Admin",
)
@pins(
    "plain",
    "Control planes",
    "Artifact Registry: repositories and their policies; no images",
    ours="ArtifactRegistry",
)
@pins(
    "plain",
    "Control planes",
    "Monitoring: notification channels, alert policies, dashboards; conditions, durations, "
    "comparisons, rate limits and 50 widgets are checked",
    documented="alert.proto, Dashboards",
)
async def test_every_recorded_call_is_accepted_and_reads_back(tmp_path: Path) -> None:
    if not RECORD.exists():
        pytest.skip(f"the recording is not at {RECORD}; set SLUICE_SHARED to replay it")
    record = json.loads(RECORD.read_text())
    settings = Settings(state=tmp_path / "state", project="rec", project_number="123456789")
    async with Running(settings) as running:
        image = tiny_image(tmp_path, "sha256:" + "0" * 64)
        manifest = {"digest": image.digest, "root": image.root, "entry": image.entry}
        replay = Replay(running.cloud.rest_url)
        register = {"call": "POST /_sluice/images", "body": manifest}
        assert (await asyncio.to_thread(replay.send, register, []))[0] == 200
        upcoming = ["gen5", "gen8", "gen14"]
        failed = []
        for phase in PHASES:
            for call in record[phase]:
                if call["endpoint"] in MISSING:
                    continue
                status, found = await asyncio.to_thread(replay.send, call, upcoming)
                if status != call.get("answered", 200) or ("error" in found and status == 200):
                    failed.append((phase, call["call"], status, found))
        assert failed == []
        cloud = running.cloud
        assert cloud.store.json("run.images").get(image.digest)
        left = {name for name, kept in cloud.store._collections.items() if len(kept)}
        gone = {"run.services", "run.revisions", "secretmanager.secrets", "secretmanager.versions", "scheduler.jobs"}
        gone |= {"sql.instances", "sql.databases", "sql.users", "secretmanager.payloads"}
        assert not {name for name in left if name in gone or name.startswith("plain.")}, "destroy leaves nothing"
