"""Which reads of data Google logs besides every change: who read a secret, used a key, acted as another account.

Each entry is paid for as a log line. Where the entries are kept, ``log_buckets`` says.

Source: https://cloud.google.com/logging/docs/audit/configure-data-access.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec.logs import Logs

#: What of a service's calls is logged; ADMIN_READ is lists of names, which would cost and tell nothing.
KINDS = ("DATA_READ", "DATA_WRITE")


@dataclass(frozen=True, kw_only=True)
class AuditLogsConfig:
    """Which services, where."""

    site: Site
    spec: Logs


class AuditLogs(pulumi.ComponentResource):
    """An audit configuration a service."""

    def __init__(self, name: str, config: AuditLogsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:AuditLogs", name, None, opts)
        for service in sorted(set(config.spec.data_access)):
            gcp.projects.IAMAuditConfig(
                f"{name}-{service.removesuffix('.googleapis.com')}",
                project=config.site.project,
                service=service,
                audit_log_configs=[gcp.projects.IAMAuditConfigAuditLogConfigArgs(log_type=kind) for kind in KINDS],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
