"""The services and revisions of the project: what is kept, what runs, and how both are shown.

Owns the store's documents, the running revisions behind them and the upkeep of these (idle instances, revisions that
traffic has left). How a deployment changes them is deploy.py's, how requests reach them door.py's.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines.forks import ForkServer, Image
from local_cloud.engines.instances import Instance, StartError
from local_cloud.engines.revisions import ForkServers, Revision
from local_cloud.errors import not_found
from local_cloud.run import names
from local_cloud.run.plans import revision_output, revision_plan
from local_cloud.run.pushed import Pushed
from local_cloud.run.rules import LATEST, MANUAL, serving_container
from local_cloud.run.scaling import Scale, scales

SERVICE = "google.cloud.run.v2.Service"
REVISION = "google.cloud.run.v2.Revision"
STATES = enum("google.cloud.run.v2.Condition.State")
SUCCEEDED, FAILED = STATES["CONDITION_SUCCEEDED"], STATES["CONDITION_FAILED"]
RECONCILING = STATES["CONDITION_RECONCILING"]
#: Seconds between looks at what is idle.
UPKEEP = 5.0
#: The first look waits until every API has started.
FIRST_LOOK = 0.2


class Services:
    """Everything of Cloud Run that the project has."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.services = cloud.store.messages("run.services", SERVICE)
        self.revisions = cloud.store.messages("run.revisions", REVISION)
        self.images = cloud.store.json("run.images")
        #: Operations of deployments that are not over, by service: a restart takes them up again.
        self.deployments = cloud.store.json("run.deployments")
        self.servers = ForkServers()
        self.pushed = Pushed(cloud)
        self.live: dict[str, Revision] = {}
        #: Revisions on their way: no traffic yet, but not left by it either.
        self.deploying: set[str] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._upkeep: asyncio.Task[None] | None = None
        for digest, manifest in self.images.items():
            self.servers.register(_image(digest, manifest))

    # Lookups

    def get(self, name: str) -> Message:
        """A service as it is kept."""
        found = self.services.get(name)
        if found is None:
            raise not_found(f"Resource '{name.rpartition('/')[2]}' of kind 'SERVICE' in region "
                            f"'{name.split('/')[3]}' in project '{self.cloud.project}' does not exist.")  # fmt: skip
        return found

    def revision(self, name: str) -> Message:
        """A revision as it is kept."""
        found = self.revisions.get(name)
        if found is None:
            raise not_found(f"Revision '{name.rpartition('/')[2]}' of service '{name.split('/')[5]}' does not exist.")
        return found

    def revisions_of(self, service: str) -> list[tuple[str, Message]]:
        """The revisions of a service, oldest first."""
        return [(name, found) for name, found in self.revisions.items() if name.startswith(f"{service}/revisions/")]

    def targets(self, service: Message) -> list[tuple[Message, str]]:
        """Each traffic target with the full name of the revision that it means now ("" while there is none).

        A revision that is not ready gets no traffic: until it is, its share stays with the one that was ready last.
        """
        found = []
        for target in service.traffic:
            wanted = target.revision.rpartition("/")[2]
            if target.type == LATEST or not wanted:
                wanted = service.latest_ready_revision.rpartition("/")[2]
            name = f"{service.name}/revisions/{wanted}" if wanted else ""
            revision = self.revisions.get(name)
            if revision is not None and revision.conditions[0].state != SUCCEEDED and service.latest_ready_revision:
                name = f"{service.name}/revisions/{service.latest_ready_revision.rpartition('/')[2]}"
            found.append((target, name))
        return found

    def present(self, service: Message) -> Message:
        """A service as answers show it: with the URLs of the door that is open now."""
        made = message(SERVICE)()
        made.CopyFrom(service)
        made.uri = "" if service.default_uri_disabled else names.url(self.cloud, service.name)
        made.urls[:] = [made.uri] if made.uri else []
        del made.traffic_statuses[:]
        for target, revision in self.targets(service):
            status = made.traffic_statuses.add(type=target.type, percent=target.percent, tag=target.tag)
            status.revision = revision.rpartition("/")[2] if target.type != LATEST else ""
            if target.tag and made.uri:
                status.uri = names.url(self.cloud, service.name, target.tag)
        return made

    # Images

    def register(self, digest: str, manifest: Mapping[str, Any]) -> None:
        """Make the code of an image digest known, for good."""
        self.images[digest] = dict(manifest)
        self.servers.register(_image(digest, manifest))

    def resolved(self, image: str) -> str:
        """An image's name as a revision keeps it: by digest, where it was pushed and no code is registered for it."""
        return image if image in self.servers.images else self.pushed.resolved(image)

    async def server(self, image: str) -> ForkServer:
        """The zygote of an image; StartError says how to make an unknown one known."""
        digest = image.rpartition("@")[2] if "@" in image else image
        if digest in self.servers.images:
            return await self.servers.get(digest)
        pushed = await self.pushed.image(image)
        if pushed is None:
            raise StartError(
                f"Image '{image}' not found. Push it (docker push {self.pushed.example(image)}; the repository must "
                f"exist), or register the code that stands for it: ./sluice image add {digest} --root "
                f"/folder/with/the/code --entry module:function (or POST {self.cloud.rest_url}/_sluice/images "
                f'{{"digest": "{digest}", "root": ..., "entry": ...}}); and deploy again.'
            )
        self.servers.register(pushed)
        return await self.servers.get(pushed.digest)

    # What runs

    def running(self, name: str) -> Revision:
        """The instances of a revision, none of which need to be there yet."""
        found = self.live.get(name)
        if found is None:
            revision = self.revision(name)
            found = self.live[name] = self._make(name, revision)
            if revision.service in self.services:
                self.scale(self.services[revision.service])
        return found

    def _make(self, name: str, revision: Message) -> Revision:
        container = serving_container(revision)
        assert container is not None
        plan, image = revision_plan(self.cloud, name, revision), container.image
        return Revision(plan, lambda: self.server(image), revision_output(self.cloud, revision, self.resource(name)))

    def shares(self, service: Message) -> dict[str, float]:
        """The percent of traffic of each revision that traffic or a tag names."""
        found: dict[str, float] = {}
        for target, name in self.targets(service):
            found[name] = found.get(name, 0) + target.percent
        return found

    def scale(self, service: Message) -> None:
        """Give each revision that is there the bounds that hold now."""
        live = {name: self.live[name] for name, _ in self.revisions_of(service.name) if name in self.live}
        own = {name: Scale(made.plan.min_instances, made.plan.max_instances) for name, made in live.items()}
        most = service.scaling.max_instance_count
        for name, scale in scales(service, self.shares(service), own).items():
            live[name].minimum, live[name].maximum = scale
            if most:
                live[name].room = lambda: most - sum(len(made.instances) for made in live.values())

    def resource(self, revision: str) -> dict[str, Any]:
        """The monitored resource of a revision's log entries; a service alone when no revision is known."""
        parts = revision.split("/")
        labels = {"project_id": self.cloud.project, "location": parts[3], "service_name": parts[5]}
        labels |= {"configuration_name": parts[5], "revision_name": parts[7] if len(parts) > 7 else ""}
        return {"type": "cloud_run_revision", "labels": labels}

    def tend(self) -> None:
        """Warm what traffic goes to up to its minimum, stop what is idle, and what traffic has left at once."""
        routed: set[str] = set()
        for service in self.services.values():
            names_of = {name for _, name in self.targets(service) if name in self.revisions}
            routed |= names_of
            asked = service.scaling.min_instance_count or service.scaling.scaling_mode == MANUAL
            for name in names_of:
                if asked or self.revisions[name].scaling.min_instance_count:
                    self.running(name)
            self.scale(service)
            for name in names_of & set(self.live):
                self.live[name].warm()
        for name, running in list(self.live.items()):
            if name in routed or name in self.deploying:
                running.reap()
            elif not any(instance.in_flight for instance in running.instances):
                self.retire(name)

    def retire(self, name: str) -> None:
        """Stop a revision's instances, in the background."""
        running = self.live.pop(name, None)
        if running is not None:
            task = asyncio.get_running_loop().create_task(running.stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    def start(self) -> None:
        """Begin the upkeep."""

        async def upkeep() -> None:
            await asyncio.sleep(FIRST_LOOK)
            while True:
                self.tend()
                await asyncio.sleep(UPKEEP)

        self._upkeep = asyncio.get_running_loop().create_task(upkeep())

    async def stop(self) -> None:
        """Stop every instance and every zygote."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
        for name in list(self.live):
            self.retire(name)
        await asyncio.gather(*self._stopping)
        await self.servers.stop()

    def status(self) -> dict[str, Any]:
        """The part of /_sluice/status about services."""
        found: dict[str, Any] = {}
        for name, service in self.services.items():
            revisions = [full for full, _ in self.revisions_of(name)]
            found[name.rpartition("/")[2]] = {
                "url": names.url(self.cloud, name),
                "ready": service.terminal_condition.state == SUCCEEDED,
                "message": service.terminal_condition.message,
                "revisions": [full.rpartition("/")[2] for full in revisions],
                "instances": [
                    _instance(i) for full in revisions for i in (self.live[full].instances if full in self.live else ())
                ],
            }
        return found


def _image(digest: str, manifest: Mapping[str, Any]) -> Image:
    preload = tuple(manifest.get("preload", ()))
    return Image(digest=digest, root=manifest["root"], entry=manifest["entry"], preload=preload)


def _instance(instance: Instance) -> dict[str, Any]:
    names_of = ("pid", "revision", "state", "in_flight", "serving", "frozen")
    return {name: getattr(instance, name) for name in names_of}
