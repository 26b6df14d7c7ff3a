"""The load balancer before the public services, with a policy of Cloud Armor for each.

Owns everything between the Internet and Cloud Run: one address, a name and a certificate a service, and who is let
through. Each policy answers 404 to any other name than its service's, so that a scan of the address finds nothing.
What a door then verifies is the service's. The records of DNS are a person's.

Sources: https://cloud.google.com/load-balancing/docs/https/setup-global-ext-https-serverless,
https://cloud.google.com/armor/docs/rules-language-reference, https://cloud.google.com/armor/docs/waf-rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import compute

from components.site import Site
from spec.edge import Armor
from spec.edge import Edge as EdgeSpec
from spec.unprotect import EDGE

NAME = "sluice-edge"
#: The newer of Google's two kinds of load balancer: every part of one names it.
SCHEME = "EXTERNAL_MANAGED"
EVERYBODY = "*"
#: Priorities: the lowest number decides first. The last one is Google's own default rule.
OTHER_NAMES, PARTNERS, NOBODY_ELSE, ATTACKS, RATE, DEFAULT = 1000, 2000, 3000, 4000, 5000, 2147483647


@dataclass(frozen=True, kw_only=True)
class EdgeConfig:
    """Which doors, under which names."""

    site: Site
    spec: EdgeSpec
    #: The services with public paths.
    services: Sequence[str]
    #: What must stand before the load balancer sends anything.
    after: Sequence[pulumi.Resource] = ()


class Edge(pulumi.ComponentResource):
    """One load balancer."""

    #: What the names must lead to in DNS.
    address: pulumi.Output[str]

    def __init__(self, name: str, config: EdgeConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Edge", name, None, opts)
        self._site, self._child = config.site, pulumi.ResourceOptions(parent=self)
        project, spec = config.site.project, config.spec
        doors = sorted(config.services)
        backends = {service: self._backend(service, config) for service in doors}
        address = compute.GlobalAddress(
            name,
            name=NAME,
            project=project,
            description="Partners and DNS know it",
            labels=config.site.labels,
            opts=config.site.guarded(self, EDGE),
        )
        routes = compute.URLMap(
            name,
            name=NAME,
            project=project,
            # Whoever comes by another name is refused by the policy of whichever service this is.
            default_service=backends[doors[0]].id,
            host_rules=[
                compute.URLMapHostRuleArgs(hosts=[spec.host(service)], path_matcher=service) for service in doors
            ],
            path_matchers=[
                compute.URLMapPathMatcherArgs(name=service, default_service=backends[service].id) for service in doors
            ],
            opts=self._child,
        )
        proxy = compute.TargetHttpsProxy(
            name,
            name=NAME,
            project=project,
            url_map=routes.id,
            ssl_certificates=[self._certificate(service, spec.host(service)) for service in doors],
            opts=self._child,
        )
        compute.GlobalForwardingRule(
            name,
            name=NAME,
            project=project,
            ip_address=address.id,
            ip_protocol="TCP",
            port_range="443",
            load_balancing_scheme=SCHEME,
            target=proxy.id,
            labels=config.site.labels,
            opts=self._child,
        )
        self.address = address.address
        self.register_outputs({"address": self.address})

    def _certificate(self, service: str, host: str) -> pulumi.Output[str]:
        """A certificate of one name: one that still waits for its DNS takes nothing from the others.

        Its name cannot change: another domain is another certificate, made before the old one goes.
        """
        digest = hashlib.sha256(host.encode()).hexdigest()[:8]
        certificate = compute.ManagedSslCertificate(
            f"{NAME}-{service}",
            name=f"{NAME}-{digest}",
            project=self._site.project,
            managed=compute.ManagedSslCertificateManagedArgs(domains=[host]),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )
        return certificate.id

    def _backend(self, service: str, config: EdgeConfig) -> gcp.compute.BackendService:
        name, project = f"{NAME}-{service}", self._site.project
        group = compute.RegionNetworkEndpointGroup(
            name,
            name=name,
            project=project,
            region=self._site.region,
            network_endpoint_type="SERVERLESS",
            cloud_run=compute.RegionNetworkEndpointGroupCloudRunArgs(service=service),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(config.after)),
        )
        policy = compute.SecurityPolicy(
            name,
            name=name,
            project=project,
            description=f"Who may reach {service}",
            labels=self._site.labels,
            rules=list(_rules(service, config.spec)),
            opts=self._child,
        )
        return compute.BackendService(
            name,
            name=name,
            project=project,
            protocol="HTTPS",
            load_balancing_scheme=SCHEME,
            backends=[compute.BackendServiceBackendArgs(group=group.id)],
            security_policy=policy.id,
            log_config=compute.BackendServiceLogConfigArgs(enable=True, sample_rate=1),
            opts=self._child,
        )


def _rules(service: str, spec: EdgeSpec) -> Iterator[compute.SecurityPolicyRuleArgs]:
    armor, host = spec.armor, spec.host(service)
    other = f"!has(request.headers['host']) || request.headers['host'].lower() != '{host}'"
    yield _rule("Any other name", OTHER_NAMES, "deny(404)", expression=other)
    for index, ranges in enumerate(armor.partners(service)):
        yield _rule("Partners", PARTNERS + index, "allow", ranges=list(ranges))
    if service in armor.only:
        yield _rule("Nobody else", NOBODY_ELSE, "deny(403)", ranges=[EVERYBODY])
    else:
        yield from _for_anybody(armor, service)
    yield _rule("Default", DEFAULT, "allow", ranges=[EVERYBODY])


def _for_anybody(armor: Armor, service: str) -> Iterator[compute.SecurityPolicyRuleArgs]:
    for index, known in enumerate(armor.ready_made(service)):
        expression = f"evaluatePreconfiguredWaf('{known}', {{'sensitivity': 1}})"
        yield _rule(known, ATTACKS + index, "deny(403)", expression=expression, preview=armor.waf == "preview")
    threshold = compute.SecurityPolicyRuleRateLimitOptionsRateLimitThresholdArgs(
        count=armor.rate_per_minute, interval_sec=60
    )
    limit = compute.SecurityPolicyRuleRateLimitOptionsArgs(
        conform_action="allow", exceed_action="deny(429)", enforce_on_key="IP", rate_limit_threshold=threshold
    )
    yield _rule("Rate of one address", RATE, "throttle", ranges=[EVERYBODY], limit=limit)


def _rule(
    description: str,
    priority: int,
    action: str,
    *,
    expression: str = "",
    ranges: list[str] | None = None,
    preview: bool = False,
    limit: compute.SecurityPolicyRuleRateLimitOptionsArgs | None = None,
) -> compute.SecurityPolicyRuleArgs:
    match = (
        compute.SecurityPolicyRuleMatchArgs(expr=compute.SecurityPolicyRuleMatchExprArgs(expression=expression))
        if expression
        else compute.SecurityPolicyRuleMatchArgs(
            versioned_expr="SRC_IPS_V1", config=compute.SecurityPolicyRuleMatchConfigArgs(src_ip_ranges=ranges or [])
        )
    )
    return compute.SecurityPolicyRuleArgs(
        description=description,
        priority=priority,
        action=action,
        match=match,
        preview=preview,
        rate_limit_options=limit,
    )
