"""The API's declaration, and what its calls share: one request, what it may, and how resources are shown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.exchanges import Exchange
from local_cloud.registry import Api, Door, Principal
from local_cloud.storage.buckets import Buckets, moment
from local_cloud.storage.notifications import Notifications
from local_cloud.storage.objects import Objects, etag, retained_until
from local_cloud.storage.refusals import StorageError, invalid
from local_cloud.storage.sessions import Sessions

Json = dict[str, Any]
Handler = Callable[["Request"], Awaitable[Any]]

API = Api("storage")

#: What links in messages begin with, which are read where nobody knows by which address the cloud is called.
GOOGLE = "https://www.googleapis.com"


@dataclass(slots=True)
class Storage:
    """What the API keeps."""

    cloud: Cloud
    buckets: Buckets
    objects: Objects
    sessions: Sessions
    notifications: Notifications


@dataclass(slots=True)
class Request:
    """One call: the values in its path, its JSON, and who makes it."""

    exchange: Exchange
    storage: Storage
    principal: Principal
    path: tuple[str, ...]
    body: Json = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return self.exchange.query

    def may(self, permission: str, bucket: str = "", name: str | None = None) -> None:
        """Refuse a caller without a permission on a bucket or an object; without either, on the project."""
        resource, shown = f"projects/{self.storage.cloud.project}", "project"
        if bucket:
            resource, shown = bucket_resource(self.storage.cloud, bucket), "bucket"
        if name is not None:
            resource, shown = f"{resource}/objects/{name}", "object"
        who = self.principal.email or "Anonymous caller"
        text = (
            f"{who} does not have {permission} access to the Google Cloud Storage {shown}. Permission '{permission}' "
            "denied on resource (or it may not exist)."
        )
        try:
            self.storage.cloud.iam.require(self.principal, permission, resource, text)
        except ApiError as error:
            if self.principal.member:
                raise StorageError(403, "forbidden", error.text) from None
            raise StorageError(401, "required", text, location=("header", "Authorization")) from None

    @property
    def base(self) -> str:
        """The address that the caller knows the door by."""
        return self.exchange.base

    def generation(self, name: str = "generation") -> int | None:
        """The generation that the query names."""
        value = self.query.get(name)
        if value is not None and not value.isdecimal():
            raise invalid(f"Invalid value for query parameter {name}: {value!r} is no number.")
        return int(value) if value is not None else None


def bucket_resource(cloud: Cloud, bucket: str) -> str:
    """What a bucket is called in policies."""
    return f"projects/{cloud.project}/buckets/{bucket}"


def caller(exchange: Exchange) -> Principal:
    """Who calls; nobody is somebody here, since buckets may be public."""
    anonymous = exchange.door is Door.SERVICE and "authorization" not in exchange.headers
    if "access_token" in exchange.query and "authorization" not in exchange.headers:
        return exchange.caller(API.host, f"Bearer {exchange.query['access_token']}")
    return Principal("") if anonymous else exchange.caller(API.host)


def shown_bucket(bucket: Json, base: str) -> Json:
    """A bucket as answers show it; `base` is the address that the caller knows the door by."""
    return {
        **{name: value for name, value in bucket.items() if name not in ("acl", "defaultObjectAcl")},
        "selfLink": f"{base}/storage/v1/b/{bucket['name']}",
        "etag": etag(bucket),
    }


def shown_object(found: Json, holder: Json | None = None, base: str = GOOGLE) -> Json:
    """An object as answers show it. Clients fetch its bytes by the mediaLink."""
    path = f"b/{found['bucket']}/o/{quote(found['name'], safe='')}"
    made = {
        "kind": "storage#object",
        "id": f"{found['bucket']}/{found['name']}/{found['generation']}",
        "selfLink": f"{base}/storage/v1/{path}",
        "mediaLink": f"{base}/download/storage/v1/{path}?generation={found['generation']}&alt=media",
        **{name: value for name, value in found.items() if name not in ("file", "acl")},
        "etag": etag(found),
    }
    until = retained_until(found, holder) if holder is not None else None
    if until is not None:
        made["retentionExpirationTime"] = moment(until)
    return made
