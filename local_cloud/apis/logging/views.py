"""Views of log buckets: which of a bucket's entries they show, and who may read by them.

The IAM methods of views stand in no proto: they are declared here with the paths that Google's REST has.
Sources: google/logging/v2/logging_config.proto, https://cloud.google.com/logging/docs/logs-views.
"""

import re

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.filters import query
from local_cloud.apis.logging.names import bucket, view
from local_cloud.apis.logging.state import VIEW, Config
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, invalid
from local_cloud.plain import merge, page
from local_cloud.registry import Call

_VIEW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,99}")
#: Views that users make of one bucket.
MAX_VIEWS = 30
#: What a view may ask for: its words, once what is quoted is taken away.
_ALLOWED = re.compile(
    r"(\s|\(|\)|=|!=|\bAND\b|\bNOT\b|\bOR\b|-|\bresource\.type\b|\bLOG_ID\b|\blog_id\b|\bsource\b|\"\")*"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=source\()[\w/.:-]+(?=\))|(?<=resource\.type=)\w+')


@API.rpc("GetView", permission="logging.views.get")
async def get_view(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a view."""
    return view(cloud, request.name)


@API.rpc("ListViews", permission="logging.views.list")
async def list_views(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The views of a bucket."""
    bucket(cloud, request.parent)
    found = _of(cloud, request.parent)
    taken, token = page(found, request.page_size, request.page_token, lambda one: str(one.name))
    return message("google.logging.v2.ListViewsResponse")(views=taken, next_page_token=token)


@API.rpc("CreateView", permission="logging.views.create")
async def create_view(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a view of a bucket."""
    bucket(cloud, request.parent)
    name, views = f"{request.parent}/views/{request.view_id}", cloud.use(Config).views
    if not _VIEW_ID.fullmatch(request.view_id):
        raise invalid(f"Invalid view ID '{request.view_id}': at most 100 letters, digits, underscores and hyphens.")
    if name in views:
        raise already_exists(f"View `{request.view_id}` already exists.")
    if len(_of(cloud, request.parent)) >= MAX_VIEWS + 2:
        raise ApiError("RESOURCE_EXHAUSTED", f"The bucket has {MAX_VIEWS} views, which is the limit.")
    made = message(VIEW)()
    made.CopyFrom(request.view)
    made.name = name
    made.create_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    return _keep(cloud, made)


@API.rpc("UpdateView", permission="logging.views.update")
async def update_view(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a view."""
    current = _own(cloud, request.name)
    made = merge(current, request.view, request.update_mask.paths)
    made.name = current.name
    made.create_time.CopyFrom(current.create_time)
    return _keep(cloud, made)


@API.rpc("DeleteView", permission="logging.views.delete")
async def delete_view(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a view and who may read by it."""
    _own(cloud, request.name)
    del cloud.use(Config).views[request.name]
    cloud.iam.forget(request.name)
    return message("google.protobuf.Empty")()


def _of(cloud: Cloud, parent: str) -> list[Message]:
    return [one for name, one in cloud.use(Config).views.items() if name.startswith(f"{parent}/views/")]


def _own(cloud: Cloud, name: str) -> Message:
    if name.rpartition("/")[2] in ("_AllLogs", "_Default"):
        view(cloud, name)
        raise invalid(f"The view {name.rpartition('/')[2]} cannot be changed or deleted.")
    return view(cloud, name)


def _keep(cloud: Cloud, made: Message) -> Message:
    query(made.filter)
    if not _ALLOWED.fullmatch(_QUOTED.sub('""', made.filter)):
        raise invalid(
            "Invalid view filter: only comparisons of resource.type, and the functions LOG_ID and source, are allowed."
        )
    made.update_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    cloud.use(Config).views[made.name] = made
    return made


def _exists(cloud: Cloud, name: str) -> None:
    view(cloud, name)


API.iam_policies("projects/*/locations/*/buckets/*/views/*", permission="logging.views", exists=_exists, version="v2")
