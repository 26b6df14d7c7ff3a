"""An estate as people make it by hand: the documents' queues, services, topics, accounts, bindings and alerts, by REST.

What the documents' gcloud commands make (tests/local_cloud/gcloud_seeds.yaml), in the same calls, for machines without
gcloud; and a few things that such estates have besides: roles on the whole project, a job of Cloud Scheduler, a role of
the project's own.
"""

import json
from typing import Any

from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.run_client import IMAGE, Runner, http

PROJECT_PATH = f"projects/{PROJECT}"
PLACE = f"{PROJECT_PATH}/locations/us-central1"
QUEUES = f"/v2/{PLACE}/queues"
SERVICES = f"/v2/{PLACE}/services"
AGENT = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
ENQUEUER = "roles/cloudtasks.enqueuer"


def sa(name: str) -> str:
    """A service account as policies name it."""
    return f"serviceAccount:{name}@{PROJECT}.iam.gserviceaccount.com"


class Hand:
    """Somebody with a REST client."""

    def __init__(self, rest: str) -> None:
        self.rest = rest

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call that must go well."""
        data = None if body is None else json.dumps(body).encode()
        answer = http(self.rest + path, method=method, body=data, headers={"Content-Type": "application/json"})
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body!r}"
        return answer.json if answer.body else {}

    def bind(self, path: str, role: str, *members: str) -> None:
        """Add members to a role of a policy, as `add-iam-policy-binding` does."""
        posted = "/queues/" in path or "/serviceAccounts/" in path or path.endswith(PROJECT_PATH)
        policy = self.call(*("POST" if posted else "GET", f"{path}:getIamPolicy", {} if posted else None))
        policy["bindings"] = [*policy.get("bindings", []), {"role": role, "members": list(members)}]
        self.call("POST", f"{path}:setIamPolicy", {"policy": policy})

    def queue(self, name: str, **settings: Any) -> None:
        """A queue."""
        self.call("POST", QUEUES, {"name": f"{PLACE}/queues/{name}", **settings})

    def change_service(self, name: str, **fields: Any) -> None:
        """Write a service as it stands, with other fields; the operation is over at once here."""
        live = self.call("GET", f"{SERVICES}/{name}")
        operation = self.call("PATCH", f"{SERVICES}/{name}", {**live, **fields})
        while not operation.get("done"):
            operation = self.call("GET", f"/v2/{operation['name']}")


def estate(run: Runner) -> Hand:
    """Make all of it."""
    hand = Hand(run.place.rest)
    for name, title in (("gcwebhook-sa", "GCWebhook10-16 Service Account"), ("gcsplit-sa", ""), ("pubsub-push", "")):
        account = {"accountId": name, "serviceAccount": {"displayName": title}}
        hand.call("POST", f"/v1/{PROJECT_PATH}/serviceAccounts", account)
    role = {"title": "Looks", "stage": "GA", "includedPermissions": ["cloudtasks.queues.list", "cloudtasks.queues.get"]}
    hand.call("POST", f"/v1/{PROJECT_PATH}/roles", {"roleId": "looker", "role": role})
    hand.bind(f"/v1/{PROJECT_PATH}", "roles/logging.logWriter", sa("gcwebhook-sa"), "user:a.person@example.com")
    hand.bind(f"/v1/{PROJECT_PATH}/serviceAccounts/{sa('pubsub-push')[15:]}", "roles/iam.serviceAccountUser", AGENT)
    _queues(hand)
    _pubsub(hand)
    hand.call("POST", f"/v1/{PROJECT_PATH}/secrets?secretId=paynow-signing-key", {"replication": {"automatic": {}}})
    hand.bind(f"/v1/{PROJECT_PATH}/secrets/paynow-signing-key", "roles/secretmanager.secretAccessor", sa("gcsplit-sa"))
    run.add_secret("paynow-signing-key", b"one")
    secret = {"name": "SIGNING", "value_source": {"secret_key_ref": {"secret": "paynow-signing-key", "version": "1"}}}
    plain = {"name": "USE_CLOUD_TASKS", "value": "true"}
    runs_as = sa("gcsplit-sa").partition(":")[2]
    run.create("gcsplit10-21", env=[plain, secret], service_account=runs_as)
    run.create("gcwebhook10-16", public=False, env=[plain], service_account=sa("gcwebhook-sa").partition(":")[2])
    task = {"containers": [{"image": IMAGE, "args": ["nightly"]}], "serviceAccount": runs_as, "maxRetries": 1}
    hand.call("POST", f"/v2/{PLACE}/jobs?jobId=nightly", {"template": {"template": task}})
    job = {"schedule": "*/5 * * * *", "httpTarget": {"uri": "http://127.0.0.1:9/sweep", "httpMethod": "POST"}}
    hand.call("POST", f"/v1/{PLACE}/jobs", {"name": f"{PLACE}/jobs/sweep", **job})
    _watching(hand)
    return hand


def _queues(hand: Hand) -> None:
    hand.queue(
        "split-payment-queue",
        rateLimits={"maxDispatchesPerSecond": 100, "maxConcurrentDispatches": 50},
        retryConfig={"maxAttempts": 5, "minBackoff": "1s", "maxBackoff": "60s", "maxDoublings": 5},
    )
    hand.bind(f"{QUEUES}/split-payment-queue", ENQUEUER, sa("gcwebhook-sa"))
    hand.queue(
        "hostpay-execution-queue",
        rateLimits={"maxDispatchesPerSecond": 50, "maxConcurrentDispatches": 20},
        retryConfig={"maxAttempts": 3, "maxRetryDuration": "60s", "minBackoff": "5s", "maxBackoff": "15s"},
    )
    fixed = {"maxAttempts": -1, "maxRetryDuration": "86400s", "minBackoff": "60s", "maxBackoff": "60s"}
    hand.queue("resting-queue")
    hand.call("POST", f"{QUEUES}/resting-queue:pause", {})
    hand.queue("Odd-Name-Queue", rateLimits={"maxDispatchesPerSecond": 0.5}, retryConfig=fixed)


def _pubsub(hand: Hand) -> None:
    topics, subscriptions = f"/v1/{PROJECT_PATH}/topics", f"/v1/{PROJECT_PATH}/subscriptions"
    hand.call("PUT", f"{topics}/paynow-events", {"messageRetentionDuration": "604800s"})
    hand.call("PUT", f"{topics}/paynow-events-dlq", {"messageRetentionDuration": "1209600s"})
    hand.bind(f"{topics}/paynow-events-dlq", "roles/pubsub.publisher", AGENT)
    source = {
        "topic": f"{PROJECT_PATH}/topics/paynow-events",
        "ackDeadlineSeconds": 600,
        "enableMessageOrdering": True,
        "deadLetterPolicy": {"deadLetterTopic": f"{PROJECT_PATH}/topics/paynow-events-dlq", "maxDeliveryAttempts": 5},
        "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
        "expirationPolicy": {},
    }
    hand.call("PUT", f"{subscriptions}/paynow-events-sub", source)
    dead = {"topic": f"{PROJECT_PATH}/topics/paynow-events-dlq", "expirationPolicy": {"ttl": "2678400s"}}
    hand.call("PUT", f"{subscriptions}/paynow-events-dlq-sub", dead)


def _watching(hand: Hand) -> None:
    metric = {"name": "token_expiration_count", "filter": 'textPayload=~"Token expired"', "description": "Expired"}
    hand.call("POST", f"/v2/{PROJECT_PATH}/metrics", metric)
    channel = {"type": "email", "displayName": "ops", "labels": {"email_address": "a@b.c"}}
    made = hand.call("POST", f"/v3/{PROJECT_PATH}/notificationChannels", channel)
    threshold = {
        "filter": 'resource.type="cloud_tasks_queue" AND metric.type="cloudtasks.googleapis.com/queue/depth"',
        "comparison": "COMPARISON_GT",
        "thresholdValue": 100,
        "duration": "300s",
        "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MAX"}],
    }
    policy = {
        "displayName": "High Queue Depth - Split Payment Queue",
        "combiner": "OR",
        "conditions": [{"displayName": "Queue depth > 100", "conditionThreshold": threshold}],
        "notificationChannels": [made["name"]],
    }
    hand.call("POST", f"/v3/{PROJECT_PATH}/alertPolicies", policy)
    board = {"displayName": "Queues", "gridLayout": {"widgets": [{"title": "words", "text": {"content": "hello"}}]}}
    hand.call("POST", f"/v1/{PROJECT_PATH}/dashboards", board)
