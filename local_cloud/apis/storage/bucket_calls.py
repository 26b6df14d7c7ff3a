"""Buckets: the calls. The law is storage/buckets.py's.

Source: https://cloud.google.com/storage/docs/json_api/v1/buckets, .../notifications.
"""

import base64
import binascii
from typing import Any

from local_cloud.apis.storage.api import Json, Request, bucket_resource, shown_bucket
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.iam.permissions import check_words
from local_cloud.server import json_codec
from local_cloud.storage import conditions
from local_cloud.storage.notifications import agent_of
from local_cloud.storage.refusals import StorageError, invalid, required

#: Buckets in one answer where the caller says no number.
PAGE = 1000


def _project(request: Request, given: str | None) -> None:
    if not given:
        raise required("Required parameter: project")
    request.storage.cloud.canonical(f"projects/{given}")


async def create(request: Request) -> Json:
    """Make a bucket."""
    _project(request, request.query.get("project"))
    request.may("storage.buckets.create")
    return shown_bucket(request.storage.buckets.create(request.body), request.base)


async def list_all(request: Request) -> Json:
    """The project's buckets."""
    _project(request, request.query.get("project"))
    request.may("storage.buckets.list")
    number = request.query.get("maxResults", str(PAGE))
    if not number.isdecimal():
        raise invalid(f"Invalid value for query parameter maxResults: {number!r} is no number.")
    try:
        after = base64.urlsafe_b64decode(request.query.get("pageToken", "").encode()).decode()
    except (binascii.Error, ValueError):
        raise invalid("Invalid value for query parameter pageToken.") from None
    prefix = request.query.get("prefix", "")
    names = sorted(n for n in request.storage.buckets.kept if n.startswith(prefix) and n > after)
    taken = names[: int(number) or PAGE]
    made: Json = {"kind": "storage#buckets"}
    if len(names) > len(taken):
        made["nextPageToken"] = base64.urlsafe_b64encode(taken[-1].encode()).decode()
    if taken:
        made["items"] = [shown_bucket(request.storage.buckets.kept[name], request.base) for name in taken]
    return made


async def get(request: Request) -> Json:
    """Read a bucket."""
    (name,) = request.path
    request.may("storage.buckets.get", name)
    return shown_bucket(request.storage.buckets.get(name, conditions.read(request.query), reading=True), request.base)


async def patch(request: Request) -> Json:
    """Change what the body says."""
    return _change(request, whole=False)


async def update(request: Request) -> Json:
    """Replace all that can be said of a bucket."""
    return _change(request, whole=True)


def _change(request: Request, *, whole: bool) -> Json:
    (name,) = request.path
    request.may("storage.buckets.update", name)
    found = request.storage.buckets.change(name, request.body, conditions.read(request.query), whole=whole)
    return shown_bucket(found, request.base)


async def delete(request: Request) -> None:
    """Delete an empty bucket, with its policy and notifications."""
    (name,) = request.path
    request.may("storage.buckets.delete", name)
    storage = request.storage
    storage.buckets.delete(name, conditions.read(request.query), empty=not storage.objects.names(name))
    storage.notifications.forget(name)
    storage.cloud.iam.forget(bucket_resource(storage.cloud, name))


async def lock(request: Request) -> Json:
    """Lock the retention policy."""
    (name,) = request.path
    request.may("storage.buckets.update", name)
    wanted = conditions.read(request.query)
    if wanted.metageneration_is is None:
        raise required("Required parameter: ifMetagenerationMatch")
    return shown_bucket(request.storage.buckets.lock(name, wanted), request.base)


async def layout(request: Request) -> Json:
    """Where and how the bucket's objects lie."""
    (name,) = request.path
    request.may("storage.objects.list", name)
    found = request.storage.buckets.get(name)
    return {
        "kind": "storage#storageLayout",
        "bucket": name,
        "location": found["location"],
        "locationType": found["locationType"],
        "hierarchicalNamespace": {"enabled": False},
    }


async def service_account(request: Request) -> Json:
    """The account by which Cloud Storage acts in the project."""
    _project(request, request.path[0])
    request.may("resourcemanager.projects.get")
    return {"kind": "storage#serviceAccount", "email_address": agent_of(request.storage.cloud)}


# Policies


async def get_policy(request: Request) -> Json:
    """The bucket's IAM policy."""
    (name,) = request.path
    request.may("storage.buckets.getIamPolicy", name)
    request.storage.buckets.get(name)
    version = request.query.get("optionsRequestedPolicyVersion", "1")
    if not version.isdecimal():
        raise invalid(f"Invalid value for query parameter optionsRequestedPolicyVersion: {version!r}.")
    return _policy(request, name, int(version))


def _policy(request: Request, name: str, version: int) -> Json:
    cloud = request.storage.cloud
    made: dict[str, Any] = json_codec.encode(cloud.iam.get_policy(bucket_resource(cloud, name), version))
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{name}", "version": 1, **made}


async def set_policy(request: Request) -> Json:
    """Replace the bucket's IAM policy."""
    (name,) = request.path
    request.may("storage.buckets.setIamPolicy", name)
    storage = request.storage
    bucket = storage.buckets.get(name)
    said = {field: value for field, value in request.body.items() if field not in ("kind", "resourceId")}
    policy, wrong = message("google.iam.v1.Policy")(), json_codec.Errors()
    json_codec.decode_into(policy, said, "", wrong)
    if wrong:
        raise invalid("\n".join(text for _, text in wrong))
    everybody = [m for b in policy.bindings for m in b.members if m in ("allUsers", "allAuthenticatedUsers")]
    if everybody and bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced":
        text = "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention "
        raise StorageError(412, "conditionNotMet", f"{text}is enforced.")
    conditional = any(binding.HasField("condition") for binding in policy.bindings)
    if conditional and not bucket["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"]:
        raise invalid("Conditions can only be set on buckets with uniform bucket-level access enabled.")
    try:
        storage.cloud.iam.set_policy(bucket_resource(storage.cloud, name), policy)
    except ApiError as refused:
        if refused.code == "ABORTED":
            raise StorageError(412, "conditionNotMet", refused.text) from None
        raise
    storage.buckets.touch(name)
    return _policy(request, name, 3)


async def test_permissions(request: Request) -> Json:
    """Those of the permissions that the caller has."""
    (name,) = request.path
    request.storage.buckets.get(name)
    asked = request.exchange.values("permissions")
    if not asked:
        raise required("Required parameter: permissions")
    check_words(asked)
    cloud = request.storage.cloud
    granted = cloud.iam.granted(request.principal, asked, bucket_resource(cloud, name))
    return {"kind": "storage#testIamPermissionsResponse", **({"permissions": granted} if granted else {})}


# Notifications


async def list_notifications(request: Request) -> Json:
    """The bucket's notification configurations."""
    (name,) = request.path
    request.may("storage.buckets.get", name)
    request.storage.buckets.get(name)
    found = request.storage.notifications.of(name)
    return {"kind": "storage#notifications", **({"items": found} if found else {})}


async def create_notification(request: Request) -> Json:
    """Tell a topic of what happens in the bucket."""
    (name,) = request.path
    request.may("storage.buckets.update", name)
    request.storage.buckets.get(name)
    return request.storage.notifications.create(name, request.body)


async def get_notification(request: Request) -> Json:
    """Read a notification configuration."""
    name, identity = request.path
    request.may("storage.buckets.get", name)
    request.storage.buckets.get(name)
    return request.storage.notifications.find(name, identity)


async def delete_notification(request: Request) -> None:
    """Tell the topic no more."""
    name, identity = request.path
    request.may("storage.buckets.update", name)
    request.storage.buckets.get(name)
    request.storage.notifications.delete(name, identity)
