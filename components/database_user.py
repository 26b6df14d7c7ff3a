"""One service's login in the database: its own account, without a password. What it may touch, migrations grant."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.service_account import ServiceAccount
from components.site import Site
from spec import names


@dataclass(frozen=True, kw_only=True)
class DatabaseUserConfig:
    """Whose login."""

    site: Site
    service: str
    account: ServiceAccount


class DatabaseUser(pulumi.ComponentResource):
    """A login."""

    def __init__(self, name: str, config: DatabaseUserConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:DatabaseUser", name, None, opts)
        gcp.sql.User(
            name,
            name=names.cloud_sql_user(config.service, config.site.project),
            instance=names.DATABASE_INSTANCE,
            project=config.site.project,
            type="CLOUD_IAM_SERVICE_ACCOUNT",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config.account], retain_on_delete=config.site.protect),
        )
        self.register_outputs({})
