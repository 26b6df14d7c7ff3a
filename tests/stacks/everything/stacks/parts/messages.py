"""What carries messages: queues, topics, subscriptions, schedules."""

import json

import pulumi_gcp as gcp
from pulumi_gcp import cloudtasks, pubsub, serviceaccount

from .around import PROJECT, REGION

AVRO = {"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string"}]}
LATER = {**AVRO, "fields": [*AVRO["fields"], {"name": "note", "type": "string", "default": ""}]}


def messages(changed: bool, worker: serviceaccount.Account) -> pubsub.Topic:
    """Queues and topics, and who may use them."""
    queue = cloudtasks.Queue(
        "split",
        name="split",
        location=REGION,
        rate_limits={"max_dispatches_per_second": 10 if not changed else 20, "max_concurrent_dispatches": 50},
        retry_config={"max_attempts": 3, "min_backoff": "5s", "max_backoff": "15s", "max_doublings": 2},
        stackdriver_logging_config={"sampling_ratio": 0.5},
    )
    cloudtasks.QueueIamMember(
        "worker-enqueues",
        name=queue.name,
        location=REGION,
        role="roles/cloudtasks.enqueuer",
        member=worker.member,
    )
    cloudtasks.QueueIamBinding(
        "split-viewers",
        name=queue.name,
        location=REGION,
        role="roles/cloudtasks.viewer",
        members=[worker.member, *(["user:someone@example.com"] if changed else [])],
    )
    schema = pubsub.Schema("event", name="event", type="AVRO", definition=json.dumps(LATER if changed else AVRO))
    dead = pubsub.Topic("dead", name="events-dead", message_retention_duration="1209600s")
    topic = pubsub.Topic(
        "events",
        name="events",
        labels={"team": "pay"},
        message_retention_duration="604800s" if not changed else "864000s",
        message_storage_policy={"allowed_persistence_regions": [REGION]},
        schema_settings={"schema": schema.id, "encoding": "JSON"},
    )
    subscription = pubsub.Subscription(
        "events-push",
        name="events-push",
        topic=topic.id,
        labels={"team": "pay"},
        ack_deadline_seconds=600 if not changed else 300,
        message_retention_duration="604800s",
        enable_message_ordering=True,
        filter='attributes.kind = "paid"',
        expiration_policy={"ttl": ""},
        retry_policy={"minimum_backoff": "10s", "maximum_backoff": "600s"},
        dead_letter_policy={"dead_letter_topic": dead.id, "max_delivery_attempts": 5},
        push_config={
            "push_endpoint": "https://worker-123456789012.us-central1.run.app/",
            "attributes": {"x-goog-version": "v1"},
            "oidc_token": {"service_account_email": worker.email, "audience": "https://worker.example.com"},
        },
    )
    agent = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    pubsub.TopicIAMMember("dead-letters", topic=dead.name, role="roles/pubsub.publisher", member=agent)
    pubsub.SubscriptionIAMMember(
        "dead-letters-from", subscription=subscription.name, role="roles/pubsub.subscriber", member=agent
    )
    gcp.cloudscheduler.Job(
        "sweep",
        name="sweep",
        region=REGION,
        description="sweeps",
        schedule="*/5 * * * *" if not changed else "*/10 * * * *",
        time_zone="Etc/UTC",
        attempt_deadline="60s",
        retry_config={"retry_count": 1},
        http_target={
            "uri": f"https://worker-123456789012.{REGION}.run.app/sweep",
            "http_method": "POST",
            "oidc_token": {"service_account_email": worker.email, "audience": f"https://{PROJECT}.example.com"},
        },
    )
    return topic
