"""The layer below, which no release touches: its components, in order, and what the app reads of it.

Owns nothing itself. What a release may change is ``system``'s; the app reads this layer's outputs by stack reference.
"""

from __future__ import annotations

import pulumi

from components.api_enablement import ApiEnablement, ApiEnablementConfig
from components.database import Database, DatabaseConfig
from components.registry import Registry, RegistryConfig
from components.secret import Secret, SecretConfig
from components.site import Site
from components.task_creator_role import TaskCreatorRole, TaskCreatorRoleConfig
from spec import System, names


def foundation(system: System) -> dict[str, pulumi.Output[str] | str | dict[str, str]]:
    """Declare the foundation that ``system`` was loaded for, and return its outputs."""
    assert system.stack is not None
    site = Site.of(system.stack)
    apis = ApiEnablement("apis", ApiEnablementConfig(site=site))
    after = pulumi.ResourceOptions(depends_on=[apis])
    role = TaskCreatorRole("task-creator", TaskCreatorRoleConfig(site=site), after)
    for name, spec in system.secrets.items():
        Secret(name, SecretConfig(site=site, spec=spec), after)
    size = DatabaseConfig(site=site, tier=system.stack.database_tier, standby=system.stack.database_standby)
    database = Database(names.DATABASE_INSTANCE, size, after)
    registry = Registry("images", RegistryConfig(site=site), after)
    return {
        "taskCreatorRole": role.role,
        "databaseConnection": database.connection_name,
        "imageRepository": registry.uri,
    }
