"""What `sluice adopt` writes, with Pulumi's own engine: `pulumi import` takes it, `pulumi preview` changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import app
from spec.names import rollout_bucket
from tests.local_cloud.cloud_places import PROJECT, inside
from tests.local_cloud.run_client import runner
from tests.ops.hand_made import estate
from tests.stacks.pulumi_cli import Pulumi

pytestmark = pytest.mark.engine

#: What a stack with services of ours needs besides.
MORE = {"sluice:imageDigest": "sha256:" + "0" * 64, "sluice:databaseUrl": "postgresql://{user}@127.0.0.1:1/payments"}


def test_pulumi_imports_what_was_adopted_and_previews_no_change(tmp_path: Path) -> None:
    pulumi = Pulumi(tmp_path / "pulumi")
    out = tmp_path / "out"
    with inside(tmp_path / "cloud") as place, runner(place, tmp_path / "image") as run:
        estate(run)
        assert app.main(["adopt", "--project", PROJECT, "--cloud", place.rest, "--to", str(out)]) == 0
        for room in ("queue_configs", "service_code", "dashboards"):
            (pulumi.project / room).unlink()
        shutil.copytree(out / "queue_configs", pulumi.project / "queue_configs")
        pulumi.init("local", yaml.safe_load((out / "stacks/Pulumi.local.yaml").read_text())["config"] | MORE)
        file = str(out / "queue_configs/adopted/local/import.json")
        options = ("--protect=false", "--generate-code=false", "--yes", "--stack", "local")
        pulumi.run("import", "--file", file, *options)
        pulumi.run("preview", "--stack", "local", "--diff", "--expect-no-changes")
        pulumi.run("preview", "--stack", "local", "--diff", "--refresh", "--expect-no-changes")
        move(pulumi.project)
        pulumi.init("foundation-local", {"gcp:project": PROJECT})
        exported = {"taskCreatorRole": f"projects/{PROJECT}/roles/creator", "rolloutBucket": rollout_bucket(PROJECT)}
        pulumi.pretend("foundation-local", exported)
        [queue] = [step for step in planned(pulumi) if step["urn"].endswith(":Queue::split-payment-queue")]
    assert queue["op"] == "update", "the spec takes over the queue that stands"
    assert queue["urn"].split("$")[0].endswith("sluice:components:TaskQueue")


def move(project: Path) -> None:
    """One queue goes from its entry to a spec."""
    (project / "queue_configs/adopted/local/queue.split-payment-queue.yaml").unlink()
    for name, handles in (("sender", {}), ("receiver", {"/": "Split"})):
        place = project / "service_code" / name / "service.yaml"
        place.parent.mkdir(parents=True)
        place.write_text(yaml.safe_dump({"description": "One.", "handles": handles}))
    spec = {"from": ["sender"], "to": "receiver", "path": "/", "message": "Split"}
    (project / "queue_configs/tasks").mkdir()
    (project / "queue_configs/tasks/split-payment-queue.yaml").write_text(yaml.safe_dump(spec))


def planned(pulumi: Pulumi) -> list[dict[str, Any]]:
    text = pulumi.run("preview", "--stack", "local", "--json")
    steps: list[dict[str, Any]] = json.loads(text[text.index("{\n") : text.rindex("}") + 1])["steps"]
    return steps
