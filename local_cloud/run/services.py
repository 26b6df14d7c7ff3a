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
from local_cloud.engines.instances import Instance, Probe, StartError
from local_cloud.engines.revisions import ForkServers, Plan, Revision
from local_cloud.errors import not_found
from local_cloud.logs.entries import Entries
from local_cloud.logs.lines import entry_of_line
from local_cloud.run import names
from local_cloud.run.environment import environment
from local_cloud.run.rules import LATEST, serving_container

SERVICE = "google.cloud.run.v2.Service"
REVISION = "google.cloud.run.v2.Revision"
STATES = enum("google.cloud.run.v2.Condition.State")
SUCCEEDED, FAILED = STATES["CONDITION_SUCCEEDED"], STATES["CONDITION_FAILED"]
#: Seconds between looks at what is idle.
UPKEEP = 5.0
#: The first look waits until every API has started.
FIRST_LOOK = 0.2
#: The template's annotation that takes an instance's CPU away outside requests (Google: wherever `cpu_idle` is set).
FREEZE = "local-cloud/freeze-idle"


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
        made.uri = names.url(self.cloud, service.name)
        made.urls[:] = [made.uri]
        del made.traffic_statuses[:]
        for target, revision in self.targets(service):
            status = made.traffic_statuses.add(type=target.type, percent=target.percent, tag=target.tag)
            status.revision = revision.rpartition("/")[2] if target.type != LATEST else ""
            if target.tag:
                status.uri = names.url(self.cloud, service.name, target.tag)
        return made

    # Images

    def register(self, digest: str, manifest: Mapping[str, Any]) -> None:
        """Make the code of an image digest known, for good."""
        self.images[digest] = dict(manifest)
        self.servers.register(_image(digest, manifest))

    async def server(self, image: str) -> ForkServer:
        """The zygote of an image; StartError says how to make an unknown one known."""
        digest = image.rpartition("@")[2] if "@" in image else image
        if digest not in self.servers.images:
            raise StartError(
                f"Image '{image}' not found. The local cloud runs code that was registered for a digest: POST "
                f'{self.cloud.rest_url}/_sluice/images {{"digest": "{digest}", "root": "/folder/with/the/code", '
                '"entry": "module:function", "preload": []} and deploy again.'
            )
        return await self.servers.get(digest)

    # What runs

    def running(self, name: str) -> Revision:
        """The instances of a revision, none of which need to be there yet."""
        found = self.live.get(name)
        if found is None:
            found = self.live[name] = self._make(name, self.revision(name))
        return found

    def _make(self, name: str, revision: Message) -> Revision:
        service_id, revision_id = revision.service.rpartition("/")[2], name.rpartition("/")[2]
        container = serving_container(revision)
        assert container is not None
        cpu_idle = revision.annotations.get(FREEZE) == "true"

        async def variables() -> Mapping[str, str]:
            metadata = self.cloud.metadata.environment(revision.service_account)
            return environment(self.cloud, service_id, revision_id, revision, metadata)

        plan = Plan(
            name=revision_id,
            title=f"sluice: {service_id} {revision_id}",
            args=(*container.command, *container.args),
            environment=variables,
            concurrency=revision.max_instance_request_concurrency,
            min_instances=revision.scaling.min_instance_count,
            max_instances=revision.scaling.max_instance_count,
            probe=_probe(container.startup_probe),
            freeze=cpu_idle,
        )
        resource = self.resource(name)

        def output(instance: Instance, stream: str, text: str) -> None:
            entry = entry_of_line(text, stream, self.cloud.project)
            labels = {**entry.get("labels", {}), "instanceId": instance.id}
            self.cloud.use(Entries).write(entry | {"resource": resource, "labels": labels})

        return Revision(plan, lambda: self.server(container.image), output)

    def resource(self, revision: str) -> dict[str, Any]:
        """The monitored resource of a revision's log entries; a service alone when no revision is known."""
        parts = revision.split("/")
        labels = {"project_id": self.cloud.project, "location": parts[3], "service_name": parts[5]}
        labels |= {"configuration_name": parts[5], "revision_name": parts[7] if len(parts) > 7 else ""}
        return {"type": "cloud_run_revision", "labels": labels}

    def tend(self) -> None:
        """Warm what traffic goes to up to its minimum, stop what is idle, and what traffic has left at once."""
        routed = {name for service in self.services.values() for _, name in self.targets(service)}
        for name in routed & set(self.revisions):
            if self.revisions[name].scaling.min_instance_count:
                self.running(name).warm()
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
                    {"pid": i.pid, "revision": i.revision, "state": i.state, "in_flight": i.in_flight}
                    for full in revisions
                    for i in (self.live[full].instances if full in self.live else ())
                ],
            }
        return found


def _image(digest: str, manifest: Mapping[str, Any]) -> Image:
    preload = tuple(manifest.get("preload", ()))
    return Image(digest=digest, root=manifest["root"], entry=manifest["entry"], preload=preload)


def _probe(probe: Message) -> Probe:
    kind = probe.WhichOneof("probe_type")
    period = max(probe.period_seconds, probe.timeout_seconds, 1)
    return Probe(
        path=probe.http_get.path or "/" if kind == "http_get" else None,
        initial_delay=probe.initial_delay_seconds,
        timeout=probe.timeout_seconds or 1,
        patience=period * max(probe.failure_threshold, 1),
    )
