"""Names of Logging's resources: what they look like, and which buckets and views a request means.

Source: the protos' own text.
"""

import re

from local_cloud.apis.logging.filters import query
from local_cloud.apis.logging.state import Config
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import invalid, not_found
from local_cloud.logs.entries import Scope
from local_cloud.registry import Principal

LOG_NAME = re.compile(r"(projects|folders|organizations|billingAccounts)/[^/]+/logs/[A-Za-z0-9/_.\-%]{1,511}")
_PLACE = re.compile(r"(?P<bucket>projects/[^/]+/locations/[^/]+/buckets/[^/]+)(?P<view>/views/[^/]+)?")
#: Views that who may list the project's entries may read too.
_OF_VIEWERS = ("_Default/views/_Default", "_Required/views/_AllLogs")
#: So many resources may be named in one request.
MAX_RESOURCES = 100


def bucket(cloud: Cloud, name: str) -> Message:
    """A bucket that there is."""
    found = cloud.use(Config).buckets.get(name)
    if found is None:
        raise not_found(f"Bucket `{name.rpartition('/')[2]}` does not exist in the given location.")
    return found


def view(cloud: Cloud, name: str) -> Message:
    """A view that there is."""
    found = cloud.use(Config).views.get(name)
    if found is None:
        raise not_found(f"View `{name.rpartition('/')[2]}` does not exist.")
    return found


def scopes(cloud: Cloud, principal: Principal, names: list[str]) -> list[Scope]:
    """What resource names let be read, each with the permission that it asks for.

    A project is all of its buckets; without names the caller is held to the project's permission first.
    """
    project = f"projects/{cloud.project}"
    if not names:
        cloud.iam.require(principal, "logging.logEntries.list", project)
        raise invalid("The request must name at least one resource in resource_names.")
    if len(names) > MAX_RESOURCES:
        raise invalid(f"At most {MAX_RESOURCES} resource names can be given.")
    return [_scope(cloud, principal, cloud.canonical(name)) for name in names]


def _scope(cloud: Cloud, principal: Principal, name: str) -> Scope:
    if re.fullmatch(r"projects/[^/]+", name):
        cloud.iam.require(principal, "logging.logEntries.list", name)
        return Scope()
    match = _PLACE.fullmatch(name)
    if match is None:
        cloud.iam.require(principal, "logging.logEntries.list", f"projects/{cloud.project}")
        raise invalid(
            f'Invalid resource name "{name}": projects/P and projects/P/locations/L/buckets/B/views/V are known.'
        )
    viewers = name.partition("/buckets/")[2] in _OF_VIEWERS
    if not viewers or not cloud.iam.allows(principal, "logging.logEntries.list", f"projects/{cloud.project}"):
        cloud.iam.require(principal, "logging.views.access", name)
    bucket(cloud, match["bucket"])
    if not match["view"]:
        return Scope(match["bucket"])
    text = str(view(cloud, name).filter)
    return Scope(match["bucket"], query(text).matches if text else None)
