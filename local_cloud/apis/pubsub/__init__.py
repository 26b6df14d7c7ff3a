"""Pub/Sub v1 as Google's own clients know it, over the core in local_cloud/pubsub/.

Owns the API's surface. Leaves alone: credentials, permissions and answers (server/, iam/), what a backlog hands out and
how messages are kept (local_cloud/pubsub/).
"""

from local_cloud.apis.pubsub import parts, publish, pull, schemas, snapshots, streaming, subscriptions, topics
from local_cloud.apis.pubsub.api import API

__all__ = ["API", "parts", "publish", "pull", "schemas", "snapshots", "streaming", "subscriptions", "topics"]
