"""The five everyday methods of a plain resource (plain.py), declared in one call for APIs that only keep what they get.

For what a program declares and the local cloud does not act upon: dashboards, alert policies, notification channels.
"""

from collections.abc import Callable
from dataclasses import dataclass

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.plain import Plain, page
from local_cloud.registry import Api, Call

#: Checks and completes a resource before it is kept; the last argument is what it replaces.
Complete = Callable[[Cloud, Message, Message | None], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of resource: its proto, what it is called, and where it stands in requests."""

    proto: str
    service: str
    noun: str  # as in CreateDashboard
    plural: str  # as in ListDashboards
    field: str  # of create and update requests
    items: str  # of list responses
    parent: str  # the field of create and list requests that has the parent
    collection: str  # the last but one segment of a name
    permission: str
    new_id: Callable[[Cloud, Message], str]
    complete: Complete
    before_delete: Callable[[Cloud, Message], None] = lambda _cloud, _request: None

    def plain(self, cloud: Cloud) -> Plain:
        """What is kept of this kind."""
        return Plain(cloud, self.proto, noun=self.noun)


def declare(api: Api, kind: Kind) -> None:
    """Give an API the five methods for one kind."""

    @api.rpc(f"{kind.service}.Create{kind.noun}", permission=f"{kind.permission}.create")
    async def create(cloud: Cloud, _call: Call, request: Message) -> Message:
        made = message(kind.proto)()
        made.CopyFrom(getattr(request, kind.field))
        made.name = f"{getattr(request, kind.parent)}/{kind.collection}/{kind.new_id(cloud, made)}"
        kind.complete(cloud, made, None)
        return kind.plain(cloud).create(made.name, made)

    @api.rpc(f"{kind.service}.Get{kind.noun}", permission=f"{kind.permission}.get")
    async def get(cloud: Cloud, _call: Call, request: Message) -> Message:
        return kind.plain(cloud).get(request.name)

    @api.rpc(f"{kind.service}.List{kind.plural}", permission=f"{kind.permission}.list")
    async def list_all(cloud: Cloud, _call: Call, request: Message) -> Message:
        found = kind.plain(cloud).below(f"{getattr(request, kind.parent)}/{kind.collection}")
        taken, token = page(found, request.page_size, request.page_token, lambda m: str(m.name))
        method = next(b.method for p, b in api.rpcs.items() if p.endswith(f".{kind.service}/List{kind.plural}"))
        assert method is not None
        return method.response(**{kind.items: taken}, next_page_token=token)

    @api.rpc(f"{kind.service}.Update{kind.noun}", permission=f"{kind.permission}.update")
    async def update(cloud: Cloud, _call: Call, request: Message) -> Message:
        plain, wanted = kind.plain(cloud), getattr(request, kind.field)
        name = cloud.canonical(wanted.name)
        current = message(kind.proto)()
        current.CopyFrom(plain.get(name))
        masked = "update_mask" in request.DESCRIPTOR.fields_by_name
        made = plain.merged(name, wanted, request.update_mask.paths if masked else ())
        made.name = name
        kind.complete(cloud, made, current)
        plain.kept[name] = made
        return made

    @api.rpc(f"{kind.service}.Delete{kind.noun}", permission=f"{kind.permission}.delete")
    async def delete(cloud: Cloud, _call: Call, request: Message) -> Message:
        kind.plain(cloud).get(request.name)
        kind.before_delete(cloud, request)
        kind.plain(cloud).delete(request.name)
        return message("google.protobuf.Empty")()
