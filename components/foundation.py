"""The layer below, which no release touches: its components, in order, and what the app reads of it.

Owns nothing itself. What a release may change is ``system``'s; the app reads this layer's outputs by stack reference.
"""

from __future__ import annotations

from typing import Any

import pulumi

from components.api_enablement import ApiEnablement, ApiEnablementConfig
from components.audit_logs import AuditLogs, AuditLogsConfig
from components.budget import Budget, BudgetConfig
from components.ci_identity import CiIdentity, CiIdentityConfig
from components.database import Database, DatabaseConfig
from components.log_buckets import LogBuckets, LogBucketsConfig
from components.network import Network, NetworkConfig
from components.registry import Registry, RegistryConfig
from components.rollout_bucket import RolloutBucket, RolloutBucketConfig
from components.secret import Secret, SecretConfig
from components.service_agent import ServiceAgent, ServiceAgentConfig
from components.site import Site
from components.task_creator_role import TaskCreatorRole, TaskCreatorRoleConfig
from spec import System, names

#: Outputs by name.
Outputs = dict[str, pulumi.Output[str] | str | dict[str, Any]]


def foundation(system: System) -> Outputs:
    """Declare the foundation that ``system`` was loaded for, and return its outputs."""
    stack = system.stack
    assert stack is not None
    site = Site.of(stack)
    apis = ApiEnablement("apis", ApiEnablementConfig(site=site))
    after = pulumi.ResourceOptions(depends_on=[apis])
    role = TaskCreatorRole("task-creator", TaskCreatorRoleConfig(site=site), after)
    for name, spec in system.secrets.items():
        Secret(name, SecretConfig(site=site, spec=spec), after)
    ServiceAgent("pubsub-agent", ServiceAgentConfig(site=site), after)
    network = Network("network", NetworkConfig(site=site, spec=stack.network), after)
    kept = DatabaseConfig(
        site=site,
        tier=stack.database_tier,
        standby=stack.database_standby,
        spec=stack.database,
        network=network,
    )
    database = Database(names.DATABASE_INSTANCE, kept, after)
    AuditLogs("audit", AuditLogsConfig(site=site, spec=stack.logs), after)
    LogBuckets("logs", LogBucketsConfig(site=site, spec=stack.logs), after)
    if stack.budget:
        Budget("budget", BudgetConfig(site=site, spec=stack.budget, project_number=stack.project_number), after)
    rollout = RolloutBucket("rollout", RolloutBucketConfig(site=site), after)
    registry = Registry("images", RegistryConfig(site=site), after)
    outputs: Outputs = {
        "taskCreatorRole": role.role,
        "databaseConnection": database.connection_name,
        "imageRepository": registry.uri,
        "rolloutBucket": rollout.bucket,
    }
    if stack.ci:
        jobs = CiIdentityConfig(
            site=site,
            spec=stack.ci,
            project_number=stack.project_number,
            repository=registry.repository,
            rollout_bucket=rollout.bucket,
        )
        identity = CiIdentity("ci", jobs, after)
        outputs |= {
            "ciProvider": identity.provider,
            "ciPreviewer": identity.previewer,
            "ciDeployer": identity.deployer,
        }
    return outputs
