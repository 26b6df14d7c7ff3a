"""The database instance and the database. No password exists: services log in with a token of their own account.

Connections come through Cloud SQL's connector alone, which encrypts and checks IAM; no network is opened to the
instance. Logins of services are ``database_user``'s, tables and grants the migrations'.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import sql

from components.site import Site
from spec import names

#: Days of backups and of the log by which any moment of the last week can be restored.
KEPT_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class DatabaseConfig:
    """How large, how safe, where."""

    site: Site
    tier: str
    #: A standby in another zone.
    standby: bool


class Database(pulumi.ComponentResource):
    """The instance with its one database."""

    #: ``project:region:instance``, by which the connector finds it.
    connection_name: pulumi.Output[str]

    def __init__(self, name: str, config: DatabaseConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Database", name, None, opts)
        site = config.site
        instance = gcp.sql.DatabaseInstance(
            name,
            name=names.DATABASE_INSTANCE,
            project=site.project,
            region=site.region,
            database_version="POSTGRES_16",
            deletion_protection=site.protect,
            settings=sql.DatabaseInstanceSettingsArgs(
                tier=config.tier,
                edition="ENTERPRISE",
                activation_policy="ALWAYS",
                availability_type="REGIONAL" if config.standby else "ZONAL",
                connector_enforcement="REQUIRED",
                disk_autoresize=True,
                user_labels=site.labels,
                database_flags=[
                    sql.DatabaseInstanceSettingsDatabaseFlagArgs(name="cloudsql.iam_authentication", value="on"),
                ],
                ip_configuration=sql.DatabaseInstanceSettingsIpConfigurationArgs(
                    ipv4_enabled=True, ssl_mode="ENCRYPTED_ONLY"
                ),
                backup_configuration=sql.DatabaseInstanceSettingsBackupConfigurationArgs(
                    enabled=True,
                    point_in_time_recovery_enabled=True,
                    transaction_log_retention_days=KEPT_DAYS,
                    backup_retention_settings=sql.DatabaseInstanceSettingsBackupConfigurationBackupRetentionSettingsArgs(
                        retained_backups=KEPT_DAYS, retention_unit="COUNT"
                    ),
                ),
            ),
            opts=site.guarded(self),
        )
        gcp.sql.Database(
            names.DATABASE_NAME,
            name=names.DATABASE_NAME,
            instance=instance.name,
            project=site.project,
            opts=site.guarded(self),
        )
        self.connection_name = instance.connection_name
        self.register_outputs({"connection_name": self.connection_name})
