"""`sluice drift`: one manual change of each kind is found, with what puts it right; nothing secret is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ops import app
from ops.home import ROOT
from tests.local_cloud.cloud_places import PROJECT, inside
from tests.local_cloud.run_client import NUMBER, runner
from tests.ops.hand_made import AGENT, ENQUEUER, PLACE, PROJECT_PATH, QUEUES, Hand, estate, sa

PERSON = "user:a.person@example.com"
#: Accounts and people whom nobody has declared; the last one is Google's default account of the project.
LET_IN = (
    "user:eve@evil.example",
    "serviceAccount:deployer@another-project.iam.gserviceaccount.com",
    f"serviceAccount:{NUMBER}-compute@developer.gserviceaccount.com",
)
CREATOR = "roles/iam.serviceAccountTokenCreator"
ACCESSOR = "roles/secretmanager.secretAccessor"


def changed_by_hand(hand: Hand, folder: Path) -> None:
    """One manual change of each kind."""
    queue, service = f"{QUEUES}/split-payment-queue", f"/v2/{PLACE}/services/gcsplit10-21"
    rate = {"rateLimits": {"maxDispatchesPerSecond": 200}}
    hand.call("PATCH", f"{queue}?updateMask=rateLimits.maxDispatchesPerSecond", rate)
    hand.call("POST", f"{QUEUES}/hostpay-execution-queue:pause", {})
    hand.call("POST", f"{QUEUES}/resting-queue:resume", {})  # who found it at rest may start it
    hand.queue("by-hand-queue")
    hand.call("DELETE", f"{QUEUES}/Odd-Name-Queue")
    hand.call("DELETE", f"/v1/{PROJECT_PATH}/subscriptions/paynow-events-dlq-sub")
    stranger = sa("gcsplit-sa")
    hand.bind(queue, ENQUEUER, stranger)
    hand.bind(f"/v2/{PLACE}/services/gcwebhook10-16", "roles/run.invoker", "allUsers")
    hand.bind(f"/v1/{PROJECT_PATH}/secrets/paynow-signing-key", ACCESSOR, sa("gcwebhook-sa"))
    hand.bind(f"/v1/{PROJECT_PATH}/topics/paynow-events", "roles/pubsub.publisher", stranger)
    account = f"/v1/{PROJECT_PATH}/serviceAccounts/gcwebhook-sa@{PROJECT}.iam.gserviceaccount.com"
    hand.bind(account, "roles/iam.serviceAccountUser", stranger)
    hand.bind(f"/v1/{PROJECT_PATH}", "roles/editor", stranger)
    hand.bind(f"/v1/{PROJECT_PATH}", "roles/owner", *LET_IN, AGENT, PERSON)
    hand.call("POST", f"{account}/keys", {})
    labels = {"channel_name": "#ops", "auth_token": "n0t-to-be-shown"}
    channel = {"type": "slack", "displayName": "made by hand", "labels": labels}
    made = hand.call("POST", f"/v3/{PROJECT_PATH}/notificationChannels", channel)
    (folder / "dashboards/channels").mkdir(parents=True)
    shutil.copy(ROOT / "dashboards/channels/slack.yaml", folder / "dashboards/channels")
    config = folder / "stacks/Pulumi.local.yaml"
    said = yaml.safe_load(config.read_text())
    said["config"]["sluice:people"]["group:operators@example.com"] = {"roles": [CREATOR], "why": "they are on call"}
    said["config"]["sluice:watching"] = {"channels": {"slack": {"id": made["name"]}}}
    config.write_text(f"{config.read_text().splitlines()[0]}\n{yaml.safe_dump(said)}")
    hand.bind(account, CREATOR, "group:operators@example.com")
    template = hand.call("GET", service)["template"]
    template["containers"][0]["env"][0]["value"] = "false"
    template["containers"][0]["env"].append({"name": "API_KEY", "value": "n0t-to-be-shown"})
    hand.change_service("gcsplit10-21", template=template)
    revision = hand.call("GET", service)["latestReadyRevision"].rpartition("/")[2]
    by_name = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    hand.change_service("gcsplit10-21", traffic=[{"type": by_name, "revision": revision, "percent": 100}])
    hand.call("POST", f"/v1/{PLACE}/jobs/sweep:pause", {})
    [policy] = hand.call("GET", f"/v3/{PROJECT_PATH}/alertPolicies")["alertPolicies"]
    hand.call("PATCH", f"/v3/{policy['name']}?updateMask=enabled", {"name": policy["name"], "enabled": False})
    hand.call("POST", f"{account}:disable", {})
    secret = f"/v1/{PROJECT_PATH}/secrets/paynow-signing-key"
    hand.call("POST", f"{secret}:addVersion", {"payload": {"data": "dHdv"}})
    hand.call("POST", f"{secret}/versions/1:disable", {})


#: kind, what it is of, what of it.
FOUND = [
    ("changed", "queue split-payment-queue", "rateLimits.maxDispatchesPerSecond"),
    ("paused", "queue hostpay-execution-queue", "state"),
    ("paused", "schedule sweep", "state"),
    ("undeclared", "queue by-hand-queue", "is declared nowhere"),
    ("missing", "subscription paynow-events-dlq-sub", "is not there"),
    ("member", "queue split-payment-queue", f"{sa('gcsplit-sa')} has {ENQUEUER}"),
    ("member", "service gcwebhook10-16", "allUsers has roles/run.invoker"),
    ("member", "secret paynow-signing-key", f"{sa('gcwebhook-sa')} has {ACCESSOR}"),
    ("member", "topic paynow-events", f"{sa('gcsplit-sa')} has roles/pubsub.publisher"),
    ("member", "account gcwebhook-sa", f"{sa('gcsplit-sa')} has roles/iam.serviceAccountUser"),
    ("member", f"project {PROJECT}", f"{sa('gcsplit-sa')} has roles/editor"),
    *(("member", f"project {PROJECT}", f"{who} has roles/owner") for who in (*LET_IN, PERSON)),
    ("changed", "service gcsplit10-21", "template.containers[0].env[USE_CLOUD_TASKS]"),
    ("changed", "service gcsplit10-21", "template.containers[0].env[API_KEY]"),
    ("traffic", "service gcsplit10-21", "traffic[0].type"),
    ("disabled", "alert High Queue Depth - Split Payment Queue", "enabled"),
    ("disabled", "account gcwebhook-sa", "disabled"),
    ("version", "secret paynow-signing-key", "version 1"),
    ("version", "secret paynow-signing-key", "a newer version"),
    ("missing", "queue Odd-Name-Queue", "is not there"),
]


def test_each_manual_change_is_found_with_what_puts_it_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("drift", "--folder", str(tmp_path / "out"))
    with inside(tmp_path / "cloud") as place, runner(place, tmp_path / "image") as run:
        hand = estate(run)
        assert app.main(["adopt", "--project", PROJECT, "--cloud", hand.rest, "--to", str(tmp_path / "out")]) == 0
        assert app.main([*words]) == 0
        changed_by_hand(hand, tmp_path / "out")
        capsys.readouterr()
        assert app.main([*words, "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
    findings = {(one["kind"], one["thing"], one["what"]): one for one in told["findings"]}
    [(_, account, key)] = [of for of in findings if of[0] == "key"]
    assert account == "account gcwebhook-sa"
    assert findings["key", account, key]["fix"].startswith("gcloud iam service-accounts keys delete")
    assert sorted(findings.keys() - {("key", account, key)}) == sorted(FOUND)
    assert all(one["fix"] and one["where"] and one["specs"] and one["cloud"] for one in told["findings"])
    rate, member = findings[FOUND[0]], findings[FOUND[5]]
    assert (rate["specs"], rate["cloud"]) == ("100", "200")
    assert rate["where"] == "queue_configs/adopted/local/queue.split-payment-queue.yaml"
    assert "rate: {dispatches_per_second: 200}" in rate["fix"]
    assert member["fix"].startswith("gcloud tasks queues remove-iam-policy-binding split-payment-queue")
    assert "n0t-to-be-shown" not in json.dumps(told), "what may be a secret is not shown"
    assert "sluice queues resume hostpay-execution-queue" in findings[FOUND[1]]["fix"]
    gone = findings["missing", "queue Odd-Name-Queue", "is not there"]
    assert "within 7 days" in gone["fix"], "the apply alone would be refused"
