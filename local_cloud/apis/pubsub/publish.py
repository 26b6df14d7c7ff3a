"""Publish. What a message must be, and where it goes: local_cloud/pubsub/publishing.py."""

from local_cloud.apis.pubsub.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid
from local_cloud.pubsub import publishing
from local_cloud.pubsub.state import PubSub
from local_cloud.pubsub.words import checked_name
from local_cloud.registry import Call

_Response = message("google.pubsub.v1.PublishResponse")


@API.rpc("Publish", permission="pubsub.topics.publish")
async def publish(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Answers when the messages are on disk."""
    topic = checked_name(cloud, request.topic, "topics")
    count = len(request.messages)
    if count > publishing.MAX_MESSAGES:
        raise invalid(
            f"The value for message_count is too large. You passed {count} in the request, but the maximum value is "
            f"{publishing.MAX_MESSAGES}."
        )
    if request.ByteSize() > publishing.MAX_BYTES:
        raise invalid(f"Request payload size exceeds the limit: {publishing.MAX_BYTES} bytes.")
    if not count:
        raise invalid(
            "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1."
        )
    return _Response(message_ids=publishing.publish_all(cloud.use(PubSub), topic, request.messages))
