"""`gcloud pubsub` against the local cloud: topics, subscriptions, messages, snapshots, schemas and policies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import account
from tests.local_cloud.gcloud import Gcloud

pytestmark = real.needed


@pytest.fixture(scope="module")
def gcloud(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as session:
        yield session


@pins(
    "pubsub",
    "Topics and subscriptions",
    "gcloud pubsub topics, subscriptions, snapshots and schemas: create, describe, list, update, delete, policies",
    documented="gcloud pubsub",
)
def test_topics_and_subscriptions_by_command(gcloud: Gcloud, place: Place) -> None:
    gcloud.ok("pubsub", "topics", "create", "orders", "--message-retention-duration=7d", "--labels=a=b")
    topic = gcloud.json("pubsub", "topics", "describe", "orders")
    assert (topic["messageRetentionDuration"], topic["labels"]) == ("604800s", {"a": "b"})
    gcloud.ok("pubsub", "topics", "update", "orders", "--update-labels=c=d", "--clear-message-retention-duration")
    assert gcloud.json("pubsub", "topics", "describe", "orders")["labels"] == {"a": "b", "c": "d"}
    push = account(place, "pusher")
    words = ("--topic=orders", "--ack-deadline=60", "--expiration-period=never", "--enable-message-ordering",
             '--message-filter=attributes.kind="order"', "--min-retry-delay=10s", "--max-retry-delay=600s",
             "--push-endpoint=https://h.example/push", f"--push-auth-service-account={push}")  # fmt: skip
    gcloud.ok("pubsub", "subscriptions", "create", "orders-sub", *words)
    made = gcloud.json("pubsub", "subscriptions", "describe", "orders-sub")
    assert (made["expirationPolicy"], made["filter"]) == ({}, 'attributes.kind="order"')
    assert made["pushConfig"]["oidcToken"] == {"serviceAccountEmail": push}
    assert made["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "600s"}
    gcloud.ok("pubsub", "subscriptions", "update", "orders-sub", "--ack-deadline=120", "--clear-retry-policy")
    gcloud.ok("pubsub", "subscriptions", "modify-push-config", "orders-sub", "--push-endpoint=")
    made = gcloud.json("pubsub", "subscriptions", "describe", "orders-sub")
    assert (made["ackDeadlineSeconds"], made["pushConfig"], "retryPolicy" in made) == (120, {}, False)
    assert [each["name"] for each in gcloud.json("pubsub", "subscriptions", "list")] == [made["name"]]
    listed = gcloud.json("pubsub", "topics", "list-subscriptions", "orders")
    assert listed == [made["name"]]
    member = f"--member=serviceAccount:{push}"
    for kind, name in (("topics", "orders"), ("subscriptions", "orders-sub")):
        gcloud.ok("pubsub", kind, "add-iam-policy-binding", name, member, "--role=roles/pubsub.viewer")
        assert gcloud.json("pubsub", kind, "get-iam-policy", name)["bindings"][0]["role"] == "roles/pubsub.viewer"
        gcloud.ok("pubsub", kind, "remove-iam-policy-binding", name, member, "--role=roles/pubsub.viewer")
    gcloud.ok("pubsub", "topics", "detach-subscription", "orders-sub")
    gcloud.ok("pubsub", "subscriptions", "delete", "orders-sub")
    gcloud.ok("pubsub", "topics", "delete", "orders")
    assert "Resource not found (resource=orders)" in gcloud.refused("pubsub", "topics", "describe", "orders")


@pins(
    "pubsub",
    "Pull",
    "gcloud pubsub publishes, pulls, acknowledges, modifies deadlines and seeks",
    documented="gcloud pubsub",
)
def test_messages_by_command(gcloud: Gcloud) -> None:
    gcloud.ok("pubsub", "topics", "create", "news")
    gcloud.ok("pubsub", "subscriptions", "create", "news-sub", "--topic=news", "--retain-acked-messages")
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = gcloud.json("pubsub", "topics", "publish", "news", "--message=one", "--attribute=k=v")
    [received] = gcloud.json("pubsub", "subscriptions", "pull", "news-sub")
    assert (received["message"]["messageId"], received["message"]["attributes"]) == (made["messageIds"][0], {"k": "v"})
    ack = f"--ack-ids={received['ackId']}"
    gcloud.ok("pubsub", "subscriptions", "modify-message-ack-deadline", "news-sub", ack, "--ack-deadline=60")
    gcloud.ok("pubsub", "subscriptions", "ack", "news-sub", ack)
    gcloud.ok("pubsub", "topics", "publish", "news", "--message=two")
    gcloud.ok("pubsub", "snapshots", "create", "before", "--subscription=news-sub")
    [received] = gcloud.json("pubsub", "subscriptions", "pull", "news-sub", "--auto-ack", "--limit=10")
    gcloud.ok("pubsub", "subscriptions", "seek", "news-sub", "--snapshot=before")
    [again] = gcloud.json("pubsub", "subscriptions", "pull", "news-sub", "--auto-ack", "--limit=10")
    assert again["message"]["messageId"] == received["message"]["messageId"]
    gcloud.ok("pubsub", "subscriptions", "seek", "news-sub", f"--time={began}")
    assert len(gcloud.json("pubsub", "subscriptions", "pull", "news-sub", "--auto-ack", "--limit=10")) == 2
    assert gcloud.json("pubsub", "snapshots", "describe", "before")["topic"] == f"projects/{PROJECT}/topics/news"
    assert len(gcloud.json("pubsub", "snapshots", "list")) == 1
    gcloud.ok("pubsub", "snapshots", "delete", "before")


@pins(
    "pubsub",
    "Snapshots and schemas",
    "gcloud pubsub schemas: create, describe, list, commit, list-revisions, rollback, validate, delete",
    documented="gcloud pubsub",
)
def test_schemas_by_command(gcloud: Gcloud, tmp_path: Path) -> None:
    definition = '{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}'
    gcloud.ok("pubsub", "schemas", "create", "rows", "--type=avro", f"--definition={definition}")
    first = gcloud.json("pubsub", "schemas", "describe", "rows")
    wider = tmp_path / "wider.avsc"
    wider.write_text(definition.replace("]}", ',{"name":"b","type":"int","default":0}]}'))
    gcloud.ok("pubsub", "schemas", "commit", "rows", "--type=avro", f"--definition-file={wider}")
    assert len(gcloud.json("pubsub", "schemas", "list-revisions", "rows")) == 2
    gcloud.ok("pubsub", "schemas", "rollback", "rows", f"--revision-id={first['revisionId']}")
    gcloud.ok("pubsub", "schemas", "validate-schema", "--type=avro", f"--definition={definition}")
    fits = ("--message-encoding=json", "--schema-name=rows")
    gcloud.ok("pubsub", "schemas", "validate-message", '--message={"a": "x"}', *fits)
    assert "failed schema validation" in gcloud.refused(
        "pubsub", "schemas", "validate-message", '--message={"a": 1}', *fits
    )
    gcloud.ok("pubsub", "topics", "create", "rows", "--schema=rows", "--message-encoding=json")
    assert "failed schema validation" in gcloud.refused("pubsub", "topics", "publish", "rows", "--message=x")
    assert [each["name"] for each in gcloud.json("pubsub", "schemas", "list")] == [first["name"]]
    gcloud.ok("pubsub", "schemas", "delete", "rows")
