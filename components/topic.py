"""One topic with everything that it takes to use it: its push subscription, its dead letters, and who may do what.

Owns the topic, the account whose token its pushes show, the dead-letter topic with a subscription that does not expire,
and the permissions that Pub/Sub's own agent needs: to publish dead letters, to take them off the source, and to mint
tokens of the push account and of no other. The push account's right to call the receiver is the receiver's
(``run_service``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import pubsub

from components.service_account import ServiceAccount, ServiceAccountConfig
from components.site import Site
from spec import Topic as TopicSpec
from spec import names
from spec.permissions import PUBLISHER, SUBSCRIBER, TOKEN_CREATOR
from spec.unprotect import word

#: Dead letters wait for a person: nobody's leaving their subscription alone for a month may delete it.
NO_EXPIRY = pubsub.SubscriptionExpirationPolicyArgs(ttl="")


@dataclass(frozen=True, kw_only=True)
class TopicConfig:
    """The edge, and the accounts at its ends."""

    site: Site
    spec: TopicSpec
    #: Pub/Sub's own account in the project.
    agent: str
    #: The receiver's base URL, which is the audience too.
    url: str
    #: Service -> its account.
    publishers: Mapping[str, ServiceAccount]
    #: The receiver's account: it may publish dead letters.
    receiver: ServiceAccount


class Topic(pulumi.ComponentResource):
    """A topic, its push subscription, its dead letters and their permissions."""

    #: The account whose token the topic's pushes show.
    pusher: ServiceAccount
    path: pulumi.Output[str]

    def __init__(self, name: str, config: TopicConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Topic", name, None, opts)
        spec, site = config.spec, config.site
        self._word = word("topics", spec.name)
        account_id = names.push_account_id(spec.name)
        child = pulumi.ResourceOptions(parent=self)
        account = ServiceAccountConfig(site=site, account_id=account_id, description=f"Pushes of {spec.name}")
        self.pusher = ServiceAccount(account_id, account, opts=child)
        mints = gcp.serviceaccount.IAMMember(
            f"{name}-agent-mint",
            service_account_id=self.pusher.path,
            role=TOKEN_CREATOR,
            member=f"serviceAccount:{config.agent}",
            opts=child,
        )
        topic = self._topic(spec.name, spec.retention.google, site)
        dead = self._dead_letters(config)
        subscription = self._subscription(config, topic, dead, [mints])
        gcp.pubsub.SubscriptionIAMMember(
            f"{name}-agent-subscribe",
            subscription=subscription.name,
            project=site.project,
            role=SUBSCRIBER,
            member=f"serviceAccount:{config.agent}",
            opts=child,
        )
        for publisher, publishing in sorted(config.publishers.items()):
            self._publisher(f"{name}-{publisher}-publish", topic, publishing.member, site)
        self.path = topic.id
        self.register_outputs({"path": self.path})

    def _topic(self, name: str, retention: str, site: Site) -> gcp.pubsub.Topic:
        return gcp.pubsub.Topic(
            name,
            name=name,
            project=site.project,
            message_retention_duration=retention,
            labels=site.labels,
            opts=site.guarded(self, self._word),
        )

    def _dead_letters(self, config: TopicConfig) -> gcp.pubsub.Topic:
        spec, site = config.spec, config.site
        name, kept = names.dead_letter_topic(spec.name), spec.dead_letters.retention.google
        dead = self._topic(name, kept, site)
        gcp.pubsub.Subscription(
            names.subscription(name),
            name=names.subscription(name),
            project=site.project,
            topic=dead.id,
            ack_deadline_seconds=round(spec.ack_deadline.seconds),
            message_retention_duration=kept,
            expiration_policy=NO_EXPIRY,
            labels=site.labels,
            opts=site.guarded(self, self._word),
        )
        self._publisher(f"{name}-agent-publish", dead, f"serviceAccount:{config.agent}", site)
        self._publisher(f"{name}-{spec.receiver}-publish", dead, config.receiver.member, site)
        return dead

    def _subscription(
        self, config: TopicConfig, topic: gcp.pubsub.Topic, dead: gcp.pubsub.Topic, needs: list[pulumi.Resource]
    ) -> gcp.pubsub.Subscription:
        spec, site = config.spec, config.site
        name = names.subscription(spec.name)
        oidc = pubsub.SubscriptionPushConfigOidcTokenArgs(service_account_email=self.pusher.email, audience=config.url)
        return gcp.pubsub.Subscription(
            name,
            name=name,
            project=site.project,
            topic=topic.id,
            ack_deadline_seconds=round(spec.ack_deadline.seconds),
            message_retention_duration=spec.retention.google,
            enable_message_ordering=spec.ordered,
            filter=spec.filter,
            expiration_policy=NO_EXPIRY,
            retry_policy=pubsub.SubscriptionRetryPolicyArgs(
                minimum_backoff=spec.retry.min_backoff.google, maximum_backoff=spec.retry.max_backoff.google
            ),
            dead_letter_policy=pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=dead.id, max_delivery_attempts=spec.max_delivery_attempts
            ),
            push_config=pubsub.SubscriptionPushConfigArgs(push_endpoint=config.url + spec.path, oidc_token=oidc),
            labels=site.labels,
            opts=pulumi.ResourceOptions.merge(site.guarded(self, self._word), pulumi.ResourceOptions(depends_on=needs)),
        )

    def _publisher(self, name: str, topic: gcp.pubsub.Topic, member: pulumi.Input[str], site: Site) -> None:
        gcp.pubsub.TopicIAMMember(
            name,
            topic=topic.name,
            project=site.project,
            role=PUBLISHER,
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )
