"""Exclusions of a project: they are those of its sink _Default, under names of their own.

Source: google/logging/v2/logging_config.proto.
"""

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.sinks import check_exclusion, keep, sink
from local_cloud.apis.logging.state import SINK
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, not_found
from local_cloud.plain import merge, page
from local_cloud.registry import Call

#: Exclusions of a project.
MAX_EXCLUSIONS = 10


@API.rpc("ListExclusions", permission="logging.exclusions.list")
async def list_exclusions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All of them."""
    found = list(_default(cloud, request.parent).exclusions)
    taken, token = page(found, request.page_size, request.page_token, lambda one: str(one.name))
    return message("google.logging.v2.ListExclusionsResponse")(exclusions=taken, next_page_token=token)


@API.rpc("GetExclusion", permission="logging.exclusions.get")
async def get_exclusion(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One of them."""
    return _find(cloud, request.name)[1]


@API.rpc("CreateExclusion", permission="logging.exclusions.create")
async def create_exclusion(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Leave out of _Default what matches."""
    check_exclusion(request.exclusion)
    made = _default(cloud, request.parent)
    if any(one.name == request.exclusion.name for one in made.exclusions):
        raise already_exists(f"Exclusion {request.exclusion.name} already exists")
    if len(made.exclusions) >= MAX_EXCLUSIONS:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MAX_EXCLUSIONS} exclusions, which is the limit.")
    made.exclusions.append(request.exclusion)
    return keep(cloud, request.parent, made, sink(cloud, f"{request.parent}/sinks/_Default")).exclusions[-1]


@API.rpc("UpdateExclusion", permission="logging.exclusions.update")
async def update_exclusion(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change what is left out."""
    parent, current = _find(cloud, request.name)
    changed = merge(current, request.exclusion, request.update_mask.paths)
    changed.name = current.name
    check_exclusion(changed)
    made = _default(cloud, parent)
    for one in made.exclusions:
        if one.name == changed.name:
            one.CopyFrom(changed)
    keep(cloud, parent, made, sink(cloud, f"{parent}/sinks/_Default"))
    return _find(cloud, request.name)[1]


@API.rpc("DeleteExclusion", permission="logging.exclusions.delete")
async def delete_exclusion(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Leave it in again."""
    parent, current = _find(cloud, request.name)
    made = _default(cloud, parent)
    left = [one for one in made.exclusions if one.name != current.name]
    del made.exclusions[:]
    made.exclusions.extend(left)
    keep(cloud, parent, made, sink(cloud, f"{parent}/sinks/_Default"))
    return message("google.protobuf.Empty")()


def _default(cloud: Cloud, parent: str) -> Message:
    """A copy of the sink that has them."""
    made = message(SINK)()
    made.CopyFrom(sink(cloud, f"{parent}/sinks/_Default"))
    return made


def _find(cloud: Cloud, name: str) -> tuple[str, Message]:
    parent, _, wanted = name.partition("/exclusions/")
    for one in sink(cloud, f"{parent}/sinks/_Default").exclusions:
        if one.name == wanted:
            return parent, one
    raise not_found(f"Exclusion {wanted} does not exist")
