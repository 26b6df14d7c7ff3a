"""Pub/Sub v1 as Google's own clients know it, over the core in local_cloud/pubsub/.

Owns the API's surface. Leaves alone: credentials, permissions and answers (server/, iam/), what a backlog hands out and
how messages are kept (local_cloud/pubsub/).
"""

from local_cloud.apis.pubsub import publish, pull
from local_cloud.apis.pubsub.api import API

__all__ = ["API", "publish", "pull"]
