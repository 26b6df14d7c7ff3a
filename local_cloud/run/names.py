"""Names and URLs of Cloud Run: labels, the address of a service, and which service a request is for.

On Google a service answers at https://[TAG---]SERVICE-PROJECT_NUMBER.REGION.run.app; here at the REST door below
/run/[TAG---]SERVICE-PROJECT_NUMBER.REGION, so that no name has to be resolved.
"""

import re
from typing import NamedTuple

from local_cloud.cloud import Cloud

PREFIX = "/run/"
#: A DNS label, and with it `TAG---SERVICE-PROJECT_NUMBER`, has at most this many characters.
MAX_LABEL = 63
_HOST = re.compile(r"(?:(?P<tag>[a-z0-9-]+?)---)?(?P<service>[a-z][a-z0-9-]*)-(?P<number>\d+)\.(?P<region>[a-z0-9-]+)")


class Address(NamedTuple):
    """What the first path segment below /run/ says."""

    service: str  # resource name
    tag: str  # "" for the base URL


def label(cloud: Cloud, service_id: str, tag: str = "") -> str:
    """`[TAG---]SERVICE-PROJECT_NUMBER`."""
    return (
        f"{tag}---{service_id}-{cloud.settings.project_number}"
        if tag
        else f"{service_id}-{cloud.settings.project_number}"
    )


def url(cloud: Cloud, name: str, tag: str = "") -> str:
    """The address of a service, without a slash at its end."""
    _, _, _, region, _, service_id = name.split("/")
    return f"{cloud.rest_url}{PREFIX}{label(cloud, service_id, tag)}.{region}"


def address(cloud: Cloud, host: str) -> Address | None:
    """The service and tag that a host name (the segment below /run/) means."""
    match = _HOST.fullmatch(host)
    if match is None or match["number"] != cloud.settings.project_number:
        return None
    return Address(
        f"projects/{cloud.project}/locations/{match['region']}/services/{match['service']}", match["tag"] or ""
    )
