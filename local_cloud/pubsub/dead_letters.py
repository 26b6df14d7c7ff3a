"""Dead letters: a message whose delivery attempts are used up goes to another topic, if the service agent may send it.

Owns what is added to the message, and what is said when Pub/Sub's service agent lacks a binding: then the message stays
where it is and is delivered again. When attempts are used up is the backlog's. Source:
https://cloud.google.com/pubsub/docs/handling-failures (attributes, permissions of the agent).
"""

from collections.abc import Callable

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.iam.fix import Fix
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.publishing import forward
from local_cloud.pubsub.push_request import written
from local_cloud.registry import Principal

#: The same line for the same subscription is not repeated for so many seconds of the cloud's clock.
SAID_EVERY = 60.0
_PREFIX = "CloudPubSubDeadLetterSource"


def agent(cloud: Cloud) -> str:
    """The e-mail of Pub/Sub's service agent, which is there as soon as the project is."""
    return f"service-{cloud.settings.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"


class DeadLetters:
    """What the core asks when a message was delivered often enough."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        #: Told of each message that was not taken: the subscription, and the code of why.
        self.failed: Callable[[str, str], None] = lambda _subscription, _code: None
        self._said: dict[tuple[str, str], float] = {}
        self._agent = Principal(f"serviceAccount:{agent(cloud)}")

    def __call__(self, backlog: Backlog, raw: bytes, attempts: int) -> bool:
        """Whether the dead letter topic has taken it."""
        topic = backlog.config.dead_letter_policy.dead_letter_topic
        if not (
            self._may(backlog, "pubsub.topics.publish", topic)
            and self._may(backlog, "pubsub.subscriptions.consume", backlog.name)
        ):
            return False
        made = message("google.pubsub.v1.PubsubMessage").FromString(raw)
        _, project, _, subscription = backlog.name.split("/")
        published = made.publish_time
        made.attributes[f"{_PREFIX}DeliveryCount"] = str(attempts)
        made.attributes[f"{_PREFIX}Subscription"] = subscription
        made.attributes[f"{_PREFIX}SubscriptionProject"] = project
        made.attributes[f"{_PREFIX}TopicPublishTime"] = written(published.seconds, published.nanos)
        try:
            forward(self._cloud, topic, made)
        except ApiError as error:  # the topic is gone, or takes only what fits its schema
            self.failed(backlog.name, error.code)
            self._say(backlog, error.code, f"the dead letter topic {topic} does not take them: {error.text}")
            return False
        return True

    def _may(self, backlog: Backlog, permission: str, resource: str) -> bool:
        decision = self._cloud.iam.decide(self._agent, permission, resource)
        if decision.granted or not decision.enforced:
            self._cloud.log.decision(decision)
            return True
        self.failed(backlog.name, "PERMISSION_DENIED")
        fix: Fix | None = decision.fix
        how = f" {fix.sentence}" if fix else ""
        why = f"Pub/Sub's service agent {self._agent.email} lacks {permission} on {resource}.{how}"
        self._say(backlog, permission, why, **({"fix": fix.as_dict()} if fix else {}))
        return False

    def _say(self, backlog: Backlog, what: str, why: str, **more: object) -> None:
        now = self._cloud.now()
        if now - self._said.get((backlog.name, what), -SAID_EVERY) < SAID_EVERY:
            return
        if len(self._said) > 1000:
            self._said.clear()
        self._said[backlog.name, what] = now
        text = f"Messages of {backlog.name} cannot be dead-lettered and are delivered again: {why}"
        self._cloud.log.event("WARNING", text, subscription=backlog.name, **more)
