"""gcloud's own commands for policies and channels, end to end: what they make fires."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.alerting.alerts_client import Alerts
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.cloud_tasks.tasks_target import advance
from tests.local_cloud.gcloud import Gcloud
from tests.local_cloud.metrics_client import Watcher

pytestmark = real.needed
POLICIES, CHANNELS = ("alpha", "monitoring", "policies"), ("beta", "monitoring", "channels")
DEPTH = (
    'resource.type="cloud_tasks_queue" AND resource.labels.queue_id="split" AND '
    'metric.type="cloudtasks.googleapis.com/queue/depth"'
)


@pytest.fixture(scope="module")
def gcloud(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        yield made


@pins(
    "alerting", "Conditions", "gcloud alpha monitoring policies, gcloud beta monitoring channels", documented="gcloud"
)
def test_gcloud_makes_changes_and_deletes_policies_and_channels(gcloud: Gcloud, alerts: Alerts, watch: Watcher) -> None:
    gcloud.ok(*CHANNELS, "create", "--display-name=ops", "--type=email", "--channel-labels=email_address=a@b.c")
    [channel] = gcloud.json(*CHANNELS, "list")
    gcloud.ok(
        *POLICIES, "create", "--display-name=deep", f"--notification-channels={channel['name']}", "--if=> 4",
        "--condition-display-name=depth", f"--condition-filter={DEPTH}", "--duration=120s", "--combiner=OR",
    )  # fmt: skip
    [policy] = gcloud.json(*POLICIES, "list", "--filter=displayName=deep")
    inner = policy["conditions"][0]["conditionThreshold"]
    assert (inner["comparison"], inner["thresholdValue"], inner["duration"]) == ("COMPARISON_GT", 4, "120s")
    queue = watch.queue("split")
    watch.tasks.pause_queue(name=queue)
    watch.send(queue, "http://h.example/", 5)
    advance(alerts.place, 240)
    assert alerts.firing() == {"deep"}
    gcloud.ok(*POLICIES, "update", policy["name"], "--no-enabled")
    assert gcloud.json(*POLICIES, "describe", policy["name"])["enabled"] is False
    assert alerts.firing() == set()
    assert "relying on" in gcloud.refused(*CHANNELS, "delete", channel["name"], "--quiet")
    gcloud.ok(*CHANNELS, "update", channel["name"], "--display-name=on call")
    assert gcloud.json(*CHANNELS, "describe", channel["name"])["displayName"] == "on call"
    gcloud.ok(*POLICIES, "delete", policy["name"], "--quiet")
    gcloud.ok(*CHANNELS, "delete", channel["name"], "--quiet")
    assert gcloud.json(*POLICIES, "list") == []
    kinds = gcloud.json("beta", "monitoring", "channel-descriptors", "list")
    assert {"email", "slack"} <= {kind["type"] for kind in kinds}


def test_gcloud_takes_a_policy_from_a_file(gcloud: Gcloud, tmp_path: Path) -> None:
    body = {
        "displayName": "from a file",
        "combiner": "OR",
        "conditions": [{"displayName": "log", "conditionMatchedLog": {"filter": "severity>=ERROR"}}],
        "alertStrategy": {"notificationRateLimit": {"period": "300s"}},
    }
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(body))
    gcloud.ok(*POLICIES, "create", f"--policy-from-file={path}")
    [policy] = gcloud.json(*POLICIES, "list")
    gcloud.ok(*POLICIES, "delete", policy["name"], "--quiet")
