"""Subscriptions by the official client: defaults, what reads back, what is refused, who may, and when one expires."""

import uuid
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.protobuf import field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import account, bearer, call, listening
from tests.local_cloud.pubsub.clients import Clients

DAY = 86_400
HTTPS = "https://receiver.example/push"


def update(clients: Clients, name: str, *paths: str, **fields: Any) -> Any:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return clients.subscriber.update_subscription(
        request={"subscription": {"name": name, **fields}, "update_mask": mask}
    )


@pytest.fixture(scope="module")
def topic(clients: Clients) -> str:
    """One topic for all of them."""
    return clients.topic()


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Defaults: 10 s to acknowledge, 7 days of retention (or the expiration period where that is shorter), 31 days "
    "until an unused one expires, 5 delivery attempts, backoff of 10 to 600 s",
    documented="Subscription properties",
    observed="answers published by others' recordings",
)
def test_defaults_read_back(clients: Clients, topic: str) -> None:
    name = clients.subscription(topic, retry_policy={}, dead_letter_policy={"dead_letter_topic": topic})
    kept = clients.subscriber.get_subscription(subscription=name)
    assert (kept.ack_deadline_seconds, kept.state.name, kept.detached) == (10, "ACTIVE", False)
    assert kept.message_retention_duration.total_seconds() == 7 * DAY
    assert kept.expiration_policy.ttl.total_seconds() == 31 * DAY
    assert kept.dead_letter_policy.max_delivery_attempts == 5
    backoff = kept.retry_policy
    assert (backoff.minimum_backoff.total_seconds(), backoff.maximum_backoff.total_seconds()) == (10, 600)
    short = clients.subscription(topic, expiration_policy={"ttl": {"seconds": 2 * DAY}})
    kept = clients.subscriber.get_subscription(subscription=short)
    assert kept.message_retention_duration.total_seconds() == 2 * DAY


@pins(
    "pubsub",
    "Topics and subscriptions",
    "x-goog-version of a push is said in the answer to the creation and never shown again",
    observed="answers published by others' recordings",
)
def test_push_config_reads_back_field_for_field(clients: Clients, topic: str) -> None:
    email = account(clients.place, f"s-{uuid.uuid4().hex[:8]}")
    push = {
        "push_endpoint": HTTPS,
        "attributes": {"x-goog-version": "v1", "other": "kept"},
        "oidc_token": {"service_account_email": email, "audience": "https://aud.example"},
        "no_wrapper": {"write_metadata": True},
    }
    name = clients.subscription(topic, push_config=push, enable_message_ordering=True, labels={"a": "b"})
    kept = clients.subscriber.get_subscription(subscription=name)
    assert dict(kept.push_config.attributes) == {"other": "kept"}
    assert kept.push_config.oidc_token.audience == "https://aud.example"
    assert kept.push_config.no_wrapper.write_metadata
    assert kept.enable_message_ordering
    rest = call(clients.place, "GET", f"/v1/{clients.subscription(topic)}")
    assert (rest["pushConfig"], rest["expirationPolicy"]) == ({}, {"ttl": "2678400s"})
    never = clients.subscription(topic, expiration_policy={})
    assert call(clients.place, "GET", f"/v1/{never}")["expirationPolicy"] == {}


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Refused: deadlines but 10 to 600 s, retention but 10 minutes to 31 days or above the expiration period, "
    "expiration below a day, attempts but 5 to 100, backoff above 600 s, plain http but to this "
    "machine, exactly-once with push",
    documented="Subscription",
    ours="some of the wordings",
)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ack_deadline_seconds": 9}, r"\(ack_deadline=9\). The ack deadline must be between 10 and 600 seconds."),
        ({"ack_deadline_seconds": 601}, "between 10 and 600 seconds"),
        ({"message_retention_duration": {"seconds": 599}}, "You passed 9m59s in the request"),
        ({"message_retention_duration": {"seconds": 31 * DAY + 1}}, "between 10m and 744h"),
        (
            {"expiration_policy": {"ttl": {"seconds": 3600}}},
            "You passed 1h in the request, but the minimum value is 24h.",
        ),
        ({"expiration_policy": {"ttl": {"seconds": DAY}}, "message_retention_duration": {"seconds": 2 * DAY}}, "48h"),
        ({"dead_letter_policy": {"dead_letter_topic": "TOPIC", "max_delivery_attempts": 4}}, "between 5 and 100"),
        ({"dead_letter_policy": {"dead_letter_topic": "TOPIC", "max_delivery_attempts": 101}}, "between 5 and 100"),
        ({"dead_letter_policy": {"max_delivery_attempts": 5}}, r"Invalid resource name given \(name=\)"),
        ({"retry_policy": {"maximum_backoff": {"seconds": 601}}}, "maximum backoff is out of bounds"),
        ({"retry_policy": {"minimum_backoff": {"seconds": 60}, "maximum_backoff": {"seconds": 30}}}, "1m0?s?"),
        ({"filter": "attributes:x AND"}, "Invalid filter at position"),
        ({"filter": "x" * 257}, "the maximum is 256 bytes"),
        ({"labels": {"A": ""}}, "Invalid labels"),
        ({"push_config": {"push_endpoint": "http://receiver.example"}}, "Invalid push endpoint given"),
        ({"push_config": {"push_endpoint": "receiver"}}, r"endpoint=receiver\)"),
        ({"push_config": {"push_endpoint": "https://h:x/"}}, "Invalid push endpoint given"),
        (
            {"push_config": {"push_endpoint": HTTPS, "attributes": {"x-goog-version": "v9"}}},
            r"Invalid push endpoint version given in push config \(version=v9\).",
        ),
        (
            {"push_config": {"push_endpoint": HTTPS, "oidc_token": {"audience": "a"}}},
            r"\(argument=PushConfig::oidc_token::service_account_email\)",
        ),
        ({"push_config": {"push_endpoint": HTTPS}, "enable_exactly_once_delivery": True}, "Exactly-once"),
    ],
)
def test_settings_that_cannot_be_are_refused(clients: Clients, topic: str, settings: Any, said: str) -> None:
    policy = settings.get("dead_letter_policy", {})
    if policy.get("dead_letter_topic") == "TOPIC":
        settings = {"dead_letter_policy": {**policy, "dead_letter_topic": topic}}
    with pytest.raises(exceptions.InvalidArgument, match=said):
        clients.subscription(topic, **settings)


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Delivery to BigQuery, Cloud Storage and Bigtable, and message transforms, are refused by name, UNIMPLEMENTED",
    ours=True,
)
@pytest.mark.parametrize("field", ["bigquery_config", "cloud_storage_config", "bigtable_config"])
def test_other_deliveries_are_refused_by_name(clients: Clients, topic: str, field: str) -> None:
    named = {"bucket": "b"} if field == "cloud_storage_config" else {"table": "t"}
    with pytest.raises(exceptions.MethodNotImplemented, match=field):
        clients.subscription(topic, **{field: named})


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Topic, filter and ordering cannot be changed; everything else by the mask, to its default where the "
    "value is missing",
    documented="UpdateSubscription",
    observed="answers published by others' recordings",
)
def test_updates_follow_their_mask(clients: Clients, topic: str) -> None:
    name = clients.subscription(topic, filter="attributes:x", ack_deadline_seconds=20)
    changed = update(clients, name, "ack_deadline_seconds", "bigquery_config", ack_deadline_seconds=30)
    assert changed.ack_deadline_seconds == 30
    assert update(clients, name, "ack_deadline_seconds").ack_deadline_seconds == 10
    for path in ("filter", "topic", "enable_message_ordering"):
        with pytest.raises(exceptions.InvalidArgument, match=f"the '{path}' field in the Subscription is not mutable"):
            update(clients, name, path)
    with pytest.raises(exceptions.InvalidArgument, match="of the form 'push_config' rather than 'pushConfig'"):
        update(clients, name, "pushConfig")
    with pytest.raises(exceptions.InvalidArgument, match="must be set, and must contain a non-empty paths list"):
        update(clients, name)
    pushed = update(clients, name, "push_config", push_config={"push_endpoint": HTTPS})
    assert pushed.push_config.push_endpoint == HTTPS
    with pytest.raises(exceptions.FailedPrecondition, match="not supported for this subscription type"):
        clients.pull(name)
    clients.subscriber.modify_push_config(subscription=name, push_config={})
    assert clients.pull(name) == []


def test_what_it_names_must_be_there(clients: Clients, topic: str) -> None:
    with pytest.raises(exceptions.NotFound, match=r"\(resource=never\)"):
        clients.subscription(f"projects/{PROJECT}/topics/never")
    with pytest.raises(exceptions.NotFound, match=r"\(resource=never\)"):
        clients.subscription(topic, dead_letter_policy={"dead_letter_topic": f"projects/{PROJECT}/topics/never"})
    token = {"service_account_email": f"never@{PROJECT}.iam.gserviceaccount.com"}
    with pytest.raises(exceptions.NotFound, match="Service account never@"):
        clients.subscription(topic, push_config={"push_endpoint": HTTPS, "oidc_token": token})
    name = clients.subscription(topic)
    with pytest.raises(exceptions.AlreadyExists):
        clients.subscriber.create_subscription(name=name, topic=topic)
    clients.subscriber.delete_subscription(subscription=name)
    with pytest.raises(exceptions.NotFound, match="Resource not found"):
        clients.subscriber.get_subscription(subscription=name)


@pins(
    "pubsub",
    "Topics and subscriptions",
    "To make one takes pubsub.subscriptions.create, attachSubscription on the topic, and actAs on a push's account",
    documented="Access control; Push subscriptions",
)
def test_who_may_make_one(clients: Clients, topic: str) -> None:
    place, unique = clients.place, uuid.uuid4().hex[:8]
    maker, pusher = account(place, f"m-{unique}"), account(place, f"u-{unique}")
    door = f"http://127.0.0.1:{place.ports['service_rest']}/v1/projects/{PROJECT}/subscriptions/w-{unique}"
    body: Any = {"topic": topic, "pushConfig": {"pushEndpoint": HTTPS, "oidcToken": {"serviceAccountEmail": pusher}}}

    def grant(resource: str, role: str) -> None:
        policy = call(place, "POST" if resource.startswith("projects/") and resource.count("/") == 1 else "GET",
                      f"/v1/{resource}:getIamPolicy")  # fmt: skip
        policy.setdefault("bindings", []).append({"role": role, "members": [f"serviceAccount:{maker}"]})
        call(place, "POST", f"/v1/{resource}:setIamPolicy", {"policy": policy})

    def tried() -> tuple[int, str]:
        answer = requests.put(door, json=body, headers=bearer(place, maker), timeout=10)
        details = answer.json().get("error", {}).get("details", [{}])
        return answer.status_code, details[0].get("metadata", {}).get("permission", "")

    role = {"role": {"includedPermissions": ["pubsub.subscriptions.create"]}, "roleId": f"maker_{unique}"}
    made = call(place, "POST", f"/v1/projects/{PROJECT}/roles", role)["name"]
    assert tried() == (403, "pubsub.subscriptions.create")
    grant(f"projects/{PROJECT}", made)
    assert tried() == (403, "pubsub.topics.attachSubscription")
    grant(topic, "roles/pubsub.subscriber")
    assert tried() == (403, "iam.serviceAccounts.actAs")
    name = f"projects/{PROJECT}/serviceAccounts/{pusher}"
    policy = {"bindings": [{"role": "roles/iam.serviceAccountUser", "members": [f"serviceAccount:{maker}"]}]}
    call(place, "POST", f"/v1/{name}:setIamPolicy", {"policy": policy})
    assert tried() == (200, "")


@pins(
    "pubsub",
    "Topics and subscriptions",
    "A subscription that is neither used nor changed for its expiration period is deleted; one without a period never",
    documented="ExpirationPolicy",
    ours="a restart counts as a use",
)
def test_unused_subscriptions_expire(clients: Clients, topic: str) -> None:
    ttl = {"ttl": {"seconds": 2 * DAY}}
    unused, used = (clients.subscription(topic, expiration_policy=ttl) for _ in range(2))
    never = clients.subscription(topic, expiration_policy={})
    changed = clients.subscription(topic, expiration_policy={})
    paths = ("expiration_policy", "message_retention_duration")
    update(clients, changed, *paths, expiration_policy=ttl, message_retention_duration={"seconds": DAY})
    for _ in range(3):
        clients.advance(DAY * 0.9)
        clients.pull(used)
    for name in (unused, changed):
        with pytest.raises(exceptions.NotFound):
            clients.subscriber.get_subscription(subscription=name)
    for name in (used, never):
        assert clients.subscriber.get_subscription(subscription=name).name == name


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Pushes use a subscription when they are acknowledged, not when they are refused",
    documented="ExpirationPolicy",
)
def test_a_push_subscription_that_is_always_refused_expires(clients: Clients) -> None:
    topic = clients.topic()  # of its own: pushes of others would be waited for at each move
    with listening() as target:
        policy = {
            "expiration_policy": {"ttl": {"seconds": DAY}},
            "message_retention_duration": {"seconds": DAY},
            "retry_policy": {"minimum_backoff": {"seconds": 600}, "maximum_backoff": {"seconds": 600}},
        }
        taken, refused = (
            clients.subscription(topic, push_config={"push_endpoint": url}, **policy)
            for url in (target.url, "http://127.0.0.1:9/nobody")
        )
        for _ in range(3):
            clients.send(topic, "x")
            clients.advance(DAY * 0.45)
        assert clients.subscriber.get_subscription(subscription=taken).name == taken
        with pytest.raises(exceptions.NotFound):
            clients.subscriber.get_subscription(subscription=refused)
