"""Cloud Logging v2: entries written, listed and tailed; log-based metrics; buckets, views, sinks and exclusions.

Owns the API's surface: a module a kind of resource, and what is started with the cloud (state). The law behind it is in
local_cloud/logs/: storage (entries), the query language (query), counting, routing and exports. Sources: the protos of
google/logging/v2, https://cloud.google.com/logging/docs.
"""

from local_cloud.apis.logging import buckets, entries, exclusions, metrics, settings, sinks, state, tail, views, writes
from local_cloud.apis.logging.api import API

__all__ = [
    "API",
    "buckets",
    "entries",
    "exclusions",
    "metrics",
    "settings",
    "sinks",
    "state",
    "tail",
    "views",
    "writes",
]
