"""The RPCs of topics, and DetachSubscription, which Google counts among them.

Owns who may do what to a topic and what must be there; what a topic may say is topic_rules.py's, the messages are the
core's (local_cloud/pubsub/state.py). Source: google/pubsub/v1/pubsub.proto.
"""

from local_cloud.apis.pubsub.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.pubsub import topic_rules, words
from local_cloud.pubsub.push import Pushes
from local_cloud.pubsub.schema_store import Schemas
from local_cloud.pubsub.snapshots import Snapshots
from local_cloud.pubsub.state import PubSub
from local_cloud.registry import Call

Empty = message("google.protobuf.Empty")
ListTopicsResponse = message("google.pubsub.v1.ListTopicsResponse")
ListTopicSubscriptionsResponse = message("google.pubsub.v1.ListTopicSubscriptionsResponse")
ListTopicSnapshotsResponse = message("google.pubsub.v1.ListTopicSnapshotsResponse")
DetachSubscriptionResponse = message("google.pubsub.v1.DetachSubscriptionResponse")


def existing(cloud: Cloud, name: str) -> Message:
    """The topic of that name."""
    found = cloud.use(PubSub).topics.get(words.checked_name(cloud, name, "topics"))
    if found is None:
        raise words.no_such(name)
    return found


API.iam_policies("projects/*/topics/*", permission="pubsub.topics", exists=existing)


def _attach_schema(cloud: Cloud, call: Call, topic: Message) -> None:
    """A schema that messages are to fit must be there, and the caller be allowed to use it."""
    settings = topic.schema_settings
    settings.schema = words.checked_name(cloud, settings.schema, "schemas")
    cloud.iam.require(call.principal, "pubsub.schemas.attach", settings.schema, words.DENIED)
    schemas = cloud.use(Schemas)
    schemas.get(settings.schema)
    for revision in (settings.first_revision_id, settings.last_revision_id):
        if revision:
            schemas.get(f"{settings.schema}@{revision}")


@API.rpc("CreateTopic", permission="pubsub.topics.create", resource=lambda request: words.project_of(request.name))
async def create_topic(cloud: Cloud, call: Call, request: Message) -> Message:
    """A new topic."""
    name = words.checked_name(cloud, request.name, "topics", new=True)
    made = topic_rules.completed(request)
    made.name = name
    if name in cloud.use(PubSub).topics:
        raise words.taken(name)
    if made.HasField("schema_settings"):
        _attach_schema(cloud, call, made)
    cloud.use(PubSub).add_topic(made)
    return made


@API.rpc("GetTopic", permission="pubsub.topics.get")
async def get_topic(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One topic."""
    return existing(cloud, request.topic)


@API.rpc("UpdateTopic", permission="pubsub.topics.update")
async def update_topic(cloud: Cloud, call: Call, request: Message) -> Message:
    """Changes what the mask names."""
    current = existing(cloud, request.topic.name)
    made = topic_rules.changed(current, request.topic, request.update_mask.paths)
    if made.HasField("schema_settings") and made.schema_settings != current.schema_settings:
        _attach_schema(cloud, call, made)
    cloud.use(PubSub).change_topic(made)
    return made


@API.rpc("ListTopics", permission="pubsub.topics.list")
async def list_topics(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The project's topics."""
    words.checked_project(cloud, request.project)
    taken, token = words.page(cloud.use(PubSub).topics.values(), request)
    return ListTopicsResponse(topics=taken, next_page_token=token)


@API.rpc("ListTopicSubscriptions", permission="pubsub.topics.get")
async def list_topic_subscriptions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The names of the subscriptions that are attached."""
    pubsub = cloud.use(PubSub)
    attached = pubsub.subscriptions_of(existing(cloud, request.topic).name)
    names = [name for name in attached if not pubsub.subscriptions[name].detached]
    taken, token = words.page_of_names(names, request)
    return ListTopicSubscriptionsResponse(subscriptions=taken, next_page_token=token)


@API.rpc("ListTopicSnapshots", permission="pubsub.topics.get")
async def list_topic_snapshots(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The names of the snapshots of its subscriptions."""
    topic = existing(cloud, request.topic).name
    names = [str(snapshot.name) for snapshot in cloud.use(Snapshots).kept.values() if snapshot.topic == topic]
    taken, token = words.page_of_names(names, request)
    return ListTopicSnapshotsResponse(snapshots=taken, next_page_token=token)


@API.rpc("DeleteTopic", permission="pubsub.topics.delete")
async def delete_topic(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The topic goes; its subscriptions and snapshots stay, with what they have."""
    name = existing(cloud, request.topic).name
    cloud.use(PubSub).delete_topic(name)
    cloud.use(Snapshots).topic_deleted(name)
    cloud.iam.forget(name)
    return Empty()


@API.rpc("DetachSubscription")
async def detach_subscription(cloud: Cloud, call: Call, request: Message) -> Message:
    """The subscription's messages go; it gets no more, and stays as a name. It is the topic's owner who may do that."""
    pubsub = cloud.use(PubSub)
    name = words.checked_name(cloud, request.subscription, "subscriptions")
    found = pubsub.subscriptions.get(name)
    has_topic = found is not None and found.topic != words.DELETED_TOPIC
    asked_on = found.topic if found is not None and has_topic else words.project_of(name)
    cloud.iam.require(call.principal, "pubsub.topics.detachSubscription", asked_on, words.DENIED)
    if found is None:
        raise words.no_such(name)
    if not pubsub.subscriptions[name].detached:
        pubsub.detach(name)
        cloud.use(Pushes).follow(name)
    return DetachSubscriptionResponse()
