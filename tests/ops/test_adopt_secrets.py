"""No secret of an estate is written: neither into entries and drafts by `sluice adopt`, nor shown by `sluice drift`."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from local_engine.estate import Estate, Thing
from ops.adopt import entries, proposals, report, secrets
from ops.drift.found import shown

#: Made here, so that no file of ours holds what looks like a secret.
HEX = hashlib.sha256(b"estate").hexdigest()
MIXED = base64.urlsafe_b64encode(hashlib.sha512(b"estate").digest()).decode().replace("=", "")
INFURA = "https://mainnet.infura.io/v3/" + HEX[:32]
SLACK = "https://hooks.slack.com/services/" + "T0123ABCD/B0456EFGH/" + MIXED[:24]
BOT = "712345678:" + MIXED[:35]
PUSH = "https://payments.example/push?token=" + "hunter22"
SERVICE, JOB = "gcp:cloudrunv2/service:Service", "gcp:cloudscheduler/job:Job"
SUBSCRIPTION, CHANNEL = (
    "gcp:pubsub/subscription:Subscription",
    "gcp:monitoring/notificationChannel:NotificationChannel",
)


def packed(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def service(*envs: tuple[str, str], **container: Any) -> dict[str, Any]:
    listed = [{"name": name, "value": value} for name, value in envs]
    return {"template": {"containers": [{"image": "gcr.io/acme/one", "envs": listed, **container}]}}


def schedule(uri: str = "https://payments.example/sweep", **target: Any) -> dict[str, Any]:
    return {"schedule": "* * * * *", "httpTarget": {"uri": uri, "httpMethod": "POST", **target}}


#: What it is called: its type, its inputs, and the texts that may stand nowhere.
LEAKS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a node's URL": (SERVICE, service(("ETHEREUM_RPC_URL", INFURA)), [HEX[:32]]),
    "an unknown node's URL": (SERVICE, service(("ETHEREUM_RPC_URL", "https://rpc.example/k3y")), ["k3y"]),
    "a URL of any name": (SERVICE, service(("UPSTREAM", "https://any.example/v1/" + HEX[:32])), [HEX[:32]]),
    "a URL with a login": (SERVICE, service(("ERRORS", f"https://{HEX[:32]}@o1.example/5")), [HEX[:32]]),
    "a webhook": (SERVICE, service(("SLACK_ALERT_WEBHOOK", SLACK)), [MIXED[:24]]),
    "a webhook of any form": (SERVICE, service(("ALERT_WEBHOOK", "https://chat.example/hook/abc")), ["hook/abc"]),
    "a bot": (SERVICE, service(("TELEGRAM", BOT)), [MIXED[:35]]),
    "a bot in a URL": (SERVICE, service(("API", f"https://api.telegram.org/bot{BOT}/send")), [MIXED[:35]]),
    "a name of a URL": (SERVICE, service(("SECRET_URL", "s3cret/value")), ["s3cret/value"]),
    "an argument": (SERVICE, service(args=["--api-key=sw0rdfish"]), ["sw0rdfish"]),
    "an argument's value": (SERVICE, service(args=["--verbose", "--token", "sw0rdfish"]), ["sw0rdfish"]),
    "a command": (SERVICE, service(commands=["sh", "-c", f"run {SLACK}"]), [MIXED[:24]]),
    "a random argument": (SERVICE, service(args=[MIXED[:40]]), [MIXED[:40]]),
    "a push endpoint": (
        SUBSCRIPTION,
        {"topic": "projects/acme/topics/t", "pushConfig": {"pushEndpoint": PUSH}},
        ["hunter22"],
    ),
    "a push endpoint's path": (
        SUBSCRIPTION,
        {"topic": "projects/acme/topics/t", "pushConfig": {"pushEndpoint": "https://x.example/" + HEX[:40]}},
        [HEX[:40]],
    ),
    "a body": (JOB, schedule(body=packed({"deep": [{"api_key": "sw0rdfish"}]})), ["sw0rdfish", packed("sw0rdfish")]),
    "a form": (
        JOB,
        schedule(body=packed("user=a&password=sw0rdfish")),
        ["sw0rdfish", packed("user=a&password=sw0")[:20]],
    ),
    "a body of text": (JOB, schedule(body=packed(f"post to {SLACK}")), [packed(f"post to {SLACK}")[:40]]),
    "a message": (JOB, {"pubsubTarget": {"topicName": "t", "data": packed({"token": "sw0rdfish"})}}, ["sw0rdfish"]),
    "an attribute": (JOB, {"pubsubTarget": {"topicName": "t", "attributes": {"apiKey": "sw0rdfish"}}}, ["sw0rdfish"]),
    "a URI": (JOB, schedule("https://payments.example/sweep?key=sw0rdfish"), ["sw0rdfish"]),
    "a signed URI": (JOB, schedule("https://payments.example/sweep?sig=sw0rdfish"), ["sw0rdfish"]),
    "a header": (JOB, schedule(headers={"X-Api-Key": "sw0rdfish"}), ["sw0rdfish"]),
    "another header": (JOB, schedule(headers={"Cookie": "session"}), []),
    "a channel's URL": (CHANNEL, {"type": "webhook_tokenauth", "labels": {"url": PUSH}}, ["hunter22"]),
    "a channel's token": (CHANNEL, {"type": "slack", "labels": {"auth_token": "sw0rdfish"}}, ["sw0rdfish"]),
    "a description": (SERVICE, {**service(), "description": f"alerts go to {SLACK}"}, [MIXED[:24]]),
}


def estate(token: str, inputs: dict[str, Any]) -> Estate:
    noun = {SERVICE: "services", JOB: "jobs", SUBSCRIPTION: "subscriptions", CHANNEL: "notificationChannels"}[token]
    identity = f"projects/acme/locations/us-central1/{noun}/one"
    given = {"name": "one", "location": "us-central1", "region": "us-central1", "project": "acme", **inputs}
    return Estate(things=[Thing(type=token, identity=identity, live={"name": identity}, inputs=given)])


@pytest.mark.parametrize("what", LEAKS)
def test_what_holds_a_secret_is_held_back_and_the_secret_is_written_nowhere(what: str) -> None:
    token, inputs, secret = LEAKS[what]
    found = estate(token, inputs)
    taken = entries.taken(found, "acme")
    drafts = list(proposals.drafts(found))
    [held] = taken.held
    written = json.dumps([taken.entries, drafts, held.why, held.fix, report.text("acme", "prod", found, taken, 1)])
    assert taken.entries == {}
    assert not [text for text in secret if text in written]


@pytest.mark.parametrize("what", LEAKS)
def test_drift_shows_no_secret(what: str) -> None:
    _, inputs, secret = LEAKS[what]
    assert not [text for text in secret if text in shown(inputs)]


def test_drift_hides_a_single_value_by_its_path_and_shows_what_is_none() -> None:
    assert shown("sw0rdfish", "httpTarget.headers.X-Api-Key") == secrets.HIDDEN
    assert shown(PUSH, "pushConfig.pushEndpoint") == secrets.HIDDEN
    assert shown(packed({"token": "sw0rdfish"}), "httpTarget.body") == secrets.HIDDEN
    variable = {"name": "API_KEY", "value": "sw0rdfish"}
    assert json.loads(shown(variable, "template.containers[0].env[API_KEY]")) == {**variable, "value": secrets.HIDDEN}
    assert shown("nothing", "template.containers[0].env[API_KEY]") == "nothing"
    assert shown(100, "rateLimits.maxDispatchesPerSecond") == "100"


NONE: dict[str, tuple[str, dict[str, Any]]] = {
    "settings": (SERVICE, service(("MODE", "sync"), ("TOKEN_WINDOW_SECONDS", "60"), ("USE_TOKEN", "true"))),
    "an address of a chain": (SERVICE, service(("USDT", "0x" + "dAC17F958D2ee523a2206206994597C13D831ec7"))),
    "a service's URL": (SERVICE, service(("GCSPLIT_URL", "https://gcsplit10-21-291176869049.us-central1.run.app/in"))),
    "a service's other URL": (SERVICE, service(("NEXT", "https://gcsplit-3fzxk2ab7q-uc.a.run.app/batch-payout-2"))),
    "a node of one's own": (SERVICE, service(("ETHEREUM_RPC_URL", "http://10.0.0.5:8545"))),
    "a queue": (
        SERVICE,
        service(("QUEUE", "projects/acme-1/locations/us-central1/queues/gcsplit-hostpay-trigger-queue")),
    ),
    "a digest": (SERVICE, service(image=f"us-docker.pkg.dev/acme/r/one@sha256:{HEX}")),
    "arguments": (SERVICE, service(args=["--workers", "4", "nightly", "--log-level=info"])),
    "a body": (JOB, schedule(body=packed({"mode": "all", "limit": 5}))),
    "a URI": (JOB, schedule("https://payments.example/sweep?mode=all&limit=5")),
    "a content type": (JOB, schedule(headers={"Content-Type": "application/json"})),
    "an address": (CHANNEL, {"type": "email", "labels": {"email_address": "ops-team-2024@example.com"}}),
}


@pytest.mark.parametrize("what", NONE)
def test_what_is_no_secret_is_taken_over(what: str) -> None:
    taken = entries.taken(estate(*NONE[what]), "acme")
    assert taken.held == []
    assert len(taken.entries) == 1
