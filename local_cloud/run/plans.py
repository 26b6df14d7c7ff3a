"""From a revision's template to the plan by which its instances start, are watched and scale.

Owns the reading of a template; leaves to engines/revisions.py what follows from the plan.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.instances import Instance
from local_cloud.engines.probes import Later, Probe
from local_cloud.engines.revisions import Plan
from local_cloud.logs.entries import Entries
from local_cloud.logs.lines import entry_of_line
from local_cloud.run.environment import environment
from local_cloud.run.rules import serving_container
from local_cloud.run.volumes import mounts, not_mounted

#: Where what the platform itself says about an instance stands.
SYSTEM_LOG = "run.googleapis.com/varlog/system"


def staging(cloud: Cloud) -> str:
    """The folder that mounting needs: it stays empty."""
    folder = cloud.settings.state / "volumes"
    folder.mkdir(exist_ok=True)
    return str(folder.resolve())


def on_the_clouds_clock(cloud: Cloud) -> Later:
    """Callbacks that come when the cloud's clock says so."""
    return cloud.clock.call_later


def probe_of(probe: Message) -> Probe | None:
    """A probe of a container, None where none is declared."""
    kind = probe.WhichOneof("probe_type")
    if kind is None:
        return None
    period = max(probe.period_seconds, probe.timeout_seconds, 1)
    threshold = max(probe.failure_threshold, 1)
    return Probe(
        path=(probe.http_get.path or "/") if kind == "http_get" else None,
        headers=tuple((header.name, header.value) for header in probe.http_get.http_headers),
        service=probe.grpc.service if kind == "grpc" else None,
        initial_delay=probe.initial_delay_seconds,
        timeout=probe.timeout_seconds or 1,
        period=period,
        threshold=threshold,
        patience=period * threshold,
    )


def revision_plan(cloud: Cloud, name: str, revision: Message) -> Plan:
    """How instances of a revision start and scale."""
    service_id, revision_id = revision.service.rpartition("/")[2], name.rpartition("/")[2]
    container = serving_container(revision)
    assert container is not None

    async def variables() -> Mapping[str, str]:
        metadata = cloud.metadata.environment(revision.service_account)
        return environment(cloud, service_id, revision_id, revision, metadata)

    async def volumes() -> Sequence[Mapping[str, Any]]:
        return mounts(cloud, revision.service_account, revision.volumes, container)

    return Plan(
        name=revision_id,
        title=f"sluice: {service_id} {revision_id}",
        args=tuple(container.args),
        command=tuple(container.command),
        workdir=container.working_dir,
        environment=variables,
        volumes=volumes,
        staging=staging(cloud),
        concurrency=revision.max_instance_request_concurrency,
        min_instances=revision.scaling.min_instance_count,
        max_instances=revision.scaling.max_instance_count,
        probe=probe_of(container.startup_probe) or Probe(),
        liveness=probe_of(container.liveness_probe),
        readiness=probe_of(container.readiness_probe),
        freeze=container.resources.cpu_idle,
        later=on_the_clouds_clock(cloud),
    )


def output_to(cloud: Cloud, resource: Mapping[str, Any], labels: Mapping[str, str]) -> Callable[[str, str, str], None]:
    """Writes lines of an instance to its log: (instance id, stream, text); the platform's own stream is "system"."""

    def write(instance: str, stream: str, text: str) -> None:
        if stream == "system":
            entry: dict[str, Any] = {"logName": SYSTEM_LOG, "severity": "WARNING", "textPayload": text}
        else:
            entry = entry_of_line(text, stream, cloud.project)
        shown = {**entry.get("labels", {}), **labels, "instanceId": instance}
        cloud.use(Entries).write(entry | {"resource": resource, "labels": shown})

    return write


def revision_output(cloud: Cloud, revision: Message, resource: Mapping[str, Any]) -> Callable[..., None]:
    """The same for a revision's instances; the first line of each is preceded by what is not mounted for it."""
    write = output_to(cloud, resource, {})
    container = serving_container(revision)
    warnings = not_mounted(revision.volumes, container) if container is not None else []
    warned: set[str] = set()

    def output(instance: Instance, stream: str, text: str) -> None:
        if instance.id not in warned and warnings:
            warned.add(instance.id)
            for warning in warnings:
                write(instance.id, "system", warning)
        write(instance.id, stream, text)

    return output
