"""Cloud Storage, JSON API v1: buckets and objects as Google's own clients and gcloud know them.

Owns the API's surface: the paths and who answers them (door), batches of requests in one (batch), buckets
(bucket_calls), objects (object_calls), their bytes out (downloads) and in (uploads), and what the clock does to them
(upkeep). What is kept, and the law over it, is local_cloud/storage/'s.
Source: https://cloud.google.com/storage/docs/json_api/v1.
"""

from local_cloud.apis.storage import batch, bucket_calls, door, downloads, object_calls, upkeep, uploads
from local_cloud.apis.storage.api import API

__all__ = ["API", "batch", "bucket_calls", "door", "downloads", "object_calls", "upkeep", "uploads"]
