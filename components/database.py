"""The database instance and the database. No password exists: services log in with a token of their own account.

Connections come through Cloud SQL's connector alone, which encrypts and checks IAM, over the private network; there is
no public address unless config asks for one, and no network is ever opened to it (docs/adr/private-database.md).
Logins of services are ``database_user``'s, tables and grants the migrations'.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import sql

from components.network import Network
from components.site import Site
from spec import names
from spec.database import Database as DatabaseSpec
from spec.unprotect import DATABASE

#: When the nightly backup begins, in UTC, before the hour of maintenance.
BACKUP_AT = "01:00"
#: Neither the first to get a new version nor the last.
TRACK = "stable"


@dataclass(frozen=True, kw_only=True)
class DatabaseConfig:
    """How large, how safe, where."""

    site: Site
    tier: str
    #: A standby in another zone.
    standby: bool
    spec: DatabaseSpec
    #: The network in which the private address is, and its connection, which must be there first and go last.
    network: Network


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
            deletion_protection=site.guards(DATABASE),
            settings=sql.DatabaseInstanceSettingsArgs(
                tier=config.tier,
                edition="ENTERPRISE",
                activation_policy="ALWAYS",
                availability_type="REGIONAL" if config.standby else "ZONAL",
                connector_enforcement="REQUIRED",
                deletion_protection_enabled=site.guards(DATABASE),
                retain_backups_on_delete=site.guards(DATABASE),
                disk_autoresize=True,
                user_labels=site.labels,
                database_flags=[
                    sql.DatabaseInstanceSettingsDatabaseFlagArgs(name="cloudsql.iam_authentication", value="on"),
                ],
                ip_configuration=sql.DatabaseInstanceSettingsIpConfigurationArgs(
                    ipv4_enabled=config.spec.public_address,
                    private_network=config.network.path,
                    ssl_mode="ENCRYPTED_ONLY",
                ),
                # What it shows of a statement has no values in it.
                insights_config=sql.DatabaseInstanceSettingsInsightsConfigArgs(query_insights_enabled=True),
                maintenance_window=sql.DatabaseInstanceSettingsMaintenanceWindowArgs(
                    day=config.spec.maintenance_day, hour=config.spec.maintenance_hour, update_track=TRACK
                ),
                backup_configuration=sql.DatabaseInstanceSettingsBackupConfigurationArgs(
                    enabled=True,
                    start_time=BACKUP_AT,
                    point_in_time_recovery_enabled=True,
                    transaction_log_retention_days=config.spec.kept_log_days,
                    backup_retention_settings=sql.DatabaseInstanceSettingsBackupConfigurationBackupRetentionSettingsArgs(
                        retained_backups=config.spec.kept_backups, retention_unit="COUNT"
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                site.guarded(self, DATABASE), pulumi.ResourceOptions(depends_on=[config.network.connection])
            ),
        )
        gcp.sql.Database(
            names.DATABASE_NAME,
            name=names.DATABASE_NAME,
            instance=instance.name,
            project=site.project,
            opts=site.guarded(self, DATABASE),
        )
        self.connection_name = instance.connection_name
        self.register_outputs({"connection_name": self.connection_name})
