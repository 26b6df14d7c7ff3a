"""One service on Cloud Run, with everything that it may do and everybody who may call it.

Owns its account, its right to each secret, its newest revision and its traffic, which names revisions by their roles
and never the latest. Leaves alone what the service does, and its image, which is named by digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import cloudrunv2 as run

from components.environment import SQL_SOCKETS
from components.revision import revision_name
from components.service_account import ServiceAccount
from components.site import Site
from components.traffic import Target, check, targets
from spec import Service as ServiceSpec
from spec import names
from spec.permissions import INVOKER, SECRET_READER
from spec.rollout import Release
from spec.unprotect import word

#: Only calls to private addresses go into the network; the rest leaves Cloud Run as ever, so that there is no NAT.
PRIVATE_RANGES = "PRIVATE_RANGES_ONLY"
#: The startup probe: a service answers once it can work; forty seconds are far beyond any cold start.
PROBE_PATH = "/health"
PROBE_PERIOD, PROBE_TIMEOUT, PROBE_TRIES = 2, 1, 20
#: A new instance may wait a minute or more for its first connection into the network (Google's page on Direct VPC).
NETWORKED_TRIES = 60


@dataclass(frozen=True, kw_only=True)
class RunServiceConfig:
    """The node, what it runs with, and who calls it."""

    site: Site
    spec: ServiceSpec
    account: ServiceAccount
    #: The image, by digest.
    image: str
    environment: Mapping[str, str]
    #: Secret -> the version that this stack pins.
    secrets: Mapping[str, str]
    #: Account id -> the member that may call.
    invokers: Mapping[str, pulumi.Output[str]]
    #: What its revisions are for; without it the newest takes all traffic at once.
    release: Release | None = None
    #: The share of what is tried, where callers cannot choose.
    percent: int = 0
    #: Pub/Sub pushes to it, to its base URL.
    pushed_to: bool = False
    #: Other services may call it themselves, which internal ingress refuses.
    called_directly: bool = False
    #: A load balancer stands before it, and nobody comes in beside that but Google's own callers.
    behind_edge: bool = False
    #: It calls into the private network, where the database is.
    networked: bool = False
    #: The instance whose connector is mounted, if any.
    sql_instance: str | None = None
    #: What must stand before the revision is deployed.
    after: Sequence[pulumi.Resource] = ()

    @property
    def tries(self) -> int:
        """How often a new instance is asked whether it can work."""
        return NETWORKED_TRIES if self.networked else PROBE_TRIES

    def traffic(self, template: str) -> list[Target]:
        """Which revision takes what, beside the one that is deployed."""
        return targets(template, self.release, self.percent, split=bool(self.spec.public) or self.pushed_to)

    @property
    def template(self) -> dict[str, Any]:
        """All that the revision is made of, as plain values."""
        spec = self.spec
        return {
            "image": self.image,
            "args": [spec.name],
            "environment": dict(self.environment),
            "secrets": dict(self.secrets),
            "cpu": spec.resources.cpu,
            "memory": spec.resources.memory,
            "cpu_always": spec.cpu_always,
            "scaling": [spec.scaling.min, spec.scaling.max],
            "concurrency": spec.concurrency,
            "timeout": spec.timeout.google,
            "sql_instance": self.sql_instance,
            "network": [names.NETWORK, names.SUBNETWORK, PRIVATE_RANGES] if self.networked else None,
            "probe": [PROBE_PATH, PROBE_PERIOD, PROBE_TIMEOUT, self.tries],
            "labels": self.site.labels,
        }


class RunService(pulumi.ComponentResource):
    """A Cloud Run service."""

    url: pulumi.Output[str]
    revision: str
    #: What exists once the service answers.
    service: pulumi.Resource

    def __init__(self, name: str, config: RunServiceConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:RunService", name, None, opts)
        self.revision = revision_name(name, config.template)
        check(name, self.revision, config.release, config.site.env)
        readable = [
            gcp.secretmanager.SecretIamMember(
                f"{name}-{secret}",
                secret_id=secret,
                project=config.site.project,
                role=SECRET_READER,
                member=config.account.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for secret in sorted(config.secrets)
        ]
        service = self._service(name, config, readable)
        members = {"everybody": pulumi.Output.from_input("allUsers")} if config.spec.public else {}
        for caller, member in {**config.invokers, **members}.items():
            gcp.cloudrunv2.ServiceIamMember(
                f"{name}-{caller}",
                name=service.name,
                location=config.site.region,
                project=config.site.project,
                role=INVOKER,
                member=member,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.service = service
        self.url = service.uri
        self.register_outputs({"revision": self.revision})

    def _service(self, name: str, config: RunServiceConfig, needs: list[Any]) -> gcp.cloudrunv2.Service:
        spec, site = config.spec, config.site
        return gcp.cloudrunv2.Service(
            name,
            name=spec.name,
            location=site.region,
            project=site.project,
            description=spec.description,
            ingress=_ingress(config),
            deletion_protection=site.guards(word("services", spec.name)),
            labels=site.labels,
            template=self._template(config),
            traffics=[
                run.ServiceTrafficArgs(
                    type="TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
                    revision=one.revision,
                    percent=one.percent,
                    tag=one.tag,
                )
                for one in config.traffic(self.revision)
            ],
            # A revision that cannot read its secrets or reach its database never becomes ready.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*needs, *config.account.roles, *config.after], aliases=site.aliases
            ),
        )

    def _template(self, config: RunServiceConfig) -> run.ServiceTemplateArgs:
        spec, sql = config.spec, config.sql_instance
        volume = run.ServiceTemplateVolumeArgs(
            name="cloudsql",
            cloud_sql_instance=run.ServiceTemplateVolumeCloudSqlInstanceArgs(instances=[sql] if sql else []),
        )
        return run.ServiceTemplateArgs(
            revision=self.revision,
            labels=config.site.labels,
            service_account=config.account.email,
            timeout=spec.timeout.google,
            max_instance_request_concurrency=spec.concurrency,
            scaling=run.ServiceTemplateScalingArgs(
                min_instance_count=spec.scaling.min, max_instance_count=spec.scaling.max
            ),
            volumes=[volume] if sql else None,
            vpc_access=_network() if config.networked else None,
            containers=[_container(config)],
        )


def _network() -> run.ServiceTemplateVpcAccessArgs:
    interface = run.ServiceTemplateVpcAccessNetworkInterfaceArgs(network=names.NETWORK, subnetwork=names.SUBNETWORK)
    return run.ServiceTemplateVpcAccessArgs(egress=PRIVATE_RANGES, network_interfaces=[interface])


def _ingress(config: RunServiceConfig) -> str:
    spec = config.spec
    if config.behind_edge:
        return "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    reachable = spec.public or spec.operator_paths or config.called_directly
    return "INGRESS_TRAFFIC_ALL" if reachable else "INGRESS_TRAFFIC_INTERNAL_ONLY"


def _container(config: RunServiceConfig) -> run.ServiceTemplateContainerArgs:
    spec = config.spec
    plain = [run.ServiceTemplateContainerEnvArgs(name=key, value=value) for key, value in config.environment.items()]
    secret = [_secret_env(name, version) for name, version in sorted(config.secrets.items())]
    mount = run.ServiceTemplateContainerVolumeMountArgs(name="cloudsql", mount_path=SQL_SOCKETS)
    return run.ServiceTemplateContainerArgs(
        image=config.image,
        args=[spec.name],
        envs=[*plain, *secret],
        ports=run.ServiceTemplateContainerPortsArgs(container_port=8080),
        resources=run.ServiceTemplateContainerResourcesArgs(
            limits={"cpu": spec.resources.cpu, "memory": spec.resources.memory}, cpu_idle=not spec.cpu_always
        ),
        startup_probe=run.ServiceTemplateContainerStartupProbeArgs(
            http_get=run.ServiceTemplateContainerStartupProbeHttpGetArgs(path=PROBE_PATH),
            period_seconds=PROBE_PERIOD,
            timeout_seconds=PROBE_TIMEOUT,
            failure_threshold=config.tries,
        ),
        volume_mounts=[mount] if config.sql_instance else None,
    )


def _secret_env(name: str, version: str) -> run.ServiceTemplateContainerEnvArgs:
    reference = run.ServiceTemplateContainerEnvValueSourceSecretKeyRefArgs(secret=name, version=version)
    source = run.ServiceTemplateContainerEnvValueSourceArgs(secret_key_ref=reference)
    return run.ServiceTemplateContainerEnvArgs(name=name, value_source=source)


def image_of(site: Site, digest: str) -> str:
    """The image that all services run."""
    return names.image(site.region, site.project, digest)
