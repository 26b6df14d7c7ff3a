"""The RPCs of subscriptions but for taking messages from them.

Owns who may make a subscription of a topic and have an account's tokens sent, what must be there, and that an unused
subscription expires. What one may say is subscription_rules.py's; messages, leases and order are the core's
(local_cloud/pubsub/). Source: google/pubsub/v1/pubsub.proto.
"""

from local_cloud.apis.pubsub.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import not_found
from local_cloud.pubsub import subscription_rules, words
from local_cloud.pubsub.expiry import Expiry
from local_cloud.pubsub.push import Pushes
from local_cloud.pubsub.state import PubSub
from local_cloud.registry import Call

Empty = message("google.protobuf.Empty")
ListSubscriptionsResponse = message("google.pubsub.v1.ListSubscriptionsResponse")


def existing(cloud: Cloud, name: str) -> Message:
    """The subscription of that name."""
    found = cloud.use(PubSub).subscriptions.get(words.checked_name(cloud, name, "subscriptions"))
    if found is None:
        raise words.no_such(name)
    return found


API.iam_policies("projects/*/subscriptions/*", permission="pubsub.subscriptions", exists=existing)


def shown(cloud: Cloud, kept: Message) -> Message:
    """A subscription as it is read: with what its topic says."""
    topic = cloud.use(PubSub).topics.get(kept.topic)
    if topic is None or not topic.HasField("message_retention_duration"):
        return kept
    made = type(kept)()
    made.CopyFrom(kept)
    made.topic_message_retention_duration.CopyFrom(topic.message_retention_duration)
    return made


@API.rpc(
    "CreateSubscription",
    permission="pubsub.subscriptions.create",
    resource=lambda request: words.project_of(request.name),
)
async def create_subscription(cloud: Cloud, call: Call, request: Message) -> Message:
    """A new subscription: it gets what is published from now on."""
    pubsub = cloud.use(PubSub)
    name = words.checked_name(cloud, request.name, "subscriptions", new=True)
    topic = words.checked_name(cloud, request.topic, "topics")
    made = subscription_rules.completed(request)
    made.name, made.topic = name, topic
    cloud.iam.require(call.principal, "pubsub.topics.attachSubscription", topic, words.DENIED)
    if topic not in pubsub.topics:
        raise words.no_such(topic)
    if name in pubsub.subscriptions:
        raise words.taken(name)
    _check_others(cloud, call, made, ("push_config", "dead_letter_policy"))
    version = made.push_config.attributes.pop("x-goog-version", "")  # said in the answer, and never again
    pubsub.add_subscription(made)
    cloud.use(Pushes).follow(name)
    cloud.use(Expiry).touch(name)
    answer = type(made)()
    answer.CopyFrom(shown(cloud, made))
    if version:
        answer.push_config.attributes["x-goog-version"] = version
    return answer


@API.rpc("GetSubscription", permission="pubsub.subscriptions.get")
async def get_subscription(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One subscription."""
    return shown(cloud, existing(cloud, request.subscription))


@API.rpc("UpdateSubscription", permission="pubsub.subscriptions.update")
async def update_subscription(cloud: Cloud, call: Call, request: Message) -> Message:
    """Changes what the mask names."""
    current = existing(cloud, request.subscription.name)
    paths = list(request.update_mask.paths)
    return _change(cloud, call, current, request.subscription, paths)


@API.rpc("ModifyPushConfig", permission="pubsub.subscriptions.update")
async def modify_push_config(cloud: Cloud, call: Call, request: Message) -> Message:
    """Another endpoint, or none: from push to pull and back."""
    current = existing(cloud, request.subscription)
    wanted = type(current)(push_config=request.push_config)
    _change(cloud, call, current, wanted, ["push_config"])
    return Empty()


@API.rpc("ListSubscriptions", permission="pubsub.subscriptions.list")
async def list_subscriptions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The project's subscriptions."""
    words.checked_project(cloud, request.project)
    taken, token = words.page(cloud.use(PubSub).subscriptions.values(), request)
    return ListSubscriptionsResponse(subscriptions=[shown(cloud, kept) for kept in taken], next_page_token=token)


@API.rpc("DeleteSubscription", permission="pubsub.subscriptions.delete")
async def delete_subscription(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The subscription goes, with its messages."""
    delete(cloud, existing(cloud, request.subscription).name)
    return Empty()


def delete(cloud: Cloud, name: str) -> None:
    """Whoever asks: a caller, or the end of an unused subscription."""
    cloud.use(PubSub).delete_subscription(name)
    cloud.use(Pushes).follow(name)
    cloud.use(Expiry).touch(name)
    cloud.iam.forget(name)


def _change(cloud: Cloud, call: Call, current: Message, wanted: Message, paths: list[str]) -> Message:
    made = subscription_rules.changed(current, wanted, paths)
    _check_others(cloud, call, made, {path.partition(".")[0] for path in paths})
    made.push_config.attributes.pop("x-goog-version", "")
    cloud.use(PubSub).change_subscription(made)
    cloud.use(Pushes).follow(made.name)
    cloud.use(Expiry).touch(made.name)
    return shown(cloud, made)


def _check_others(cloud: Cloud, call: Call, made: Message, fields: object) -> None:
    """What the changed fields name must be there: the account of a push, the topic for dead letters."""
    assert isinstance(fields, (set, tuple))
    push = made.push_config
    if "push_config" in fields and push.HasField("oidc_token"):
        email = push.oidc_token.service_account_email
        if cloud.iam.accounts.find(email) is None and cloud.iam.mode != "off":
            raise not_found(f"Service account {email} does not exist.")
        name = cloud.iam.accounts.name(email)
        cloud.iam.require(call.principal, "iam.serviceAccounts.actAs", name, words.DENIED)
    if "dead_letter_policy" in fields and made.HasField("dead_letter_policy"):
        policy = made.dead_letter_policy
        policy.dead_letter_topic = words.checked_name(cloud, policy.dead_letter_topic, "topics")
        if policy.dead_letter_topic not in cloud.use(PubSub).topics:
            raise words.no_such(policy.dead_letter_topic)
