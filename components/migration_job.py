"""The job that brings the database's tables up to date, with an account and a login of its own.

The program declares it and does not run it: `gcloud run jobs execute` does, before the services of a release are
deployed (docs/deploy.md). Services depend on it, so that it has their image before they do. What it may do in the
database beyond logging in, the database's owner grants once by hand; what it does there, the migrations say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import cloudrunv2 as run

from components.database_user import DatabaseUser, DatabaseUserConfig
from components.environment import SQL_SOCKETS
from components.run_service import PRIVATE_RANGES
from components.service_account import ServiceAccount, ServiceAccountConfig
from components.site import Site
from spec import names
from spec.service import DATABASE_ROLES

#: Cloud SQL takes an access token of the account as the password; the migrations heed PGPASSWORD.
LOG_IN_AND_MIGRATE = """\
import os, sys
import google.auth
from google.auth.transport.requests import Request
from service_code.kit import migrate
account, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
account.refresh(Request())
os.environ["PGPASSWORD"] = account.token
sys.exit(migrate.main())
"""
#: One task; a migration that failed is looked at, not tried again.
TIMEOUT, RETRIES = "600s", 0
LIMITS = {"cpu": "1", "memory": "512Mi"}


@dataclass(frozen=True, kw_only=True)
class MigrationJobConfig:
    """Which code migrates which database."""

    site: Site
    #: The image of the services, by digest.
    image: str
    #: Where the database is, for the job's own login; no password.
    database_url: str
    #: The instance whose connector is mounted, if any.
    sql_instance: str | None
    #: The logins of the services, which the migrations admit to their roles.
    logins: Sequence[DatabaseUser]


class MigrationJob(pulumi.ComponentResource):
    """A Cloud Run job."""

    #: What must exist before a service of the same release.
    job: gcp.cloudrunv2.Job

    def __init__(self, name: str, config: MigrationJobConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:MigrationJob", name, None, opts)
        site, below = config.site, pulumi.ResourceOptions(parent=self)
        account = ServiceAccount(
            names.MIGRATOR_ACCOUNT_ID,
            ServiceAccountConfig(
                site=site,
                account_id=names.MIGRATOR_ACCOUNT_ID,
                description="Migrates the database before a release",
                project_roles=DATABASE_ROLES,
            ),
            below,
        )
        user = DatabaseUserConfig(site=site, service=names.MIGRATOR_ACCOUNT_ID, account=account)
        login = DatabaseUser(f"{names.MIGRATOR_ACCOUNT_ID}-login", user, below)
        self.job = gcp.cloudrunv2.Job(
            name,
            name=name,
            location=site.region,
            project=site.project,
            deletion_protection=site.protect,
            labels=site.labels,
            template=_template(config, account),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[login, *config.logins, *account.roles]),
        )
        self.register_outputs({"job": self.job.name})


def _template(config: MigrationJobConfig, account: ServiceAccount) -> run.JobTemplateArgs:
    sql = config.sql_instance
    volume = run.JobTemplateTemplateVolumeArgs(
        name="cloudsql",
        cloud_sql_instance=run.JobTemplateTemplateVolumeCloudSqlInstanceArgs(instances=[sql] if sql else []),
    )
    mount = run.JobTemplateTemplateContainerVolumeMountArgs(name="cloudsql", mount_path=SQL_SOCKETS)
    interface = run.JobTemplateTemplateVpcAccessNetworkInterfaceArgs(network=names.NETWORK, subnetwork=names.SUBNETWORK)
    container = run.JobTemplateTemplateContainerArgs(
        image=config.image,
        commands=["python", "-c", LOG_IN_AND_MIGRATE],
        args=["up"],
        envs=[run.JobTemplateTemplateContainerEnvArgs(name="DATABASE_URL", value=config.database_url)],
        resources=run.JobTemplateTemplateContainerResourcesArgs(limits=LIMITS),
        volume_mounts=[mount] if sql else None,
    )
    task = run.JobTemplateTemplateArgs(
        containers=[container],
        service_account=account.email,
        timeout=TIMEOUT,
        max_retries=RETRIES,
        volumes=[volume] if sql else None,
        vpc_access=run.JobTemplateTemplateVpcAccessArgs(egress=PRIVATE_RANGES, network_interfaces=[interface]),
    )
    return run.JobTemplateArgs(labels=config.site.labels, task_count=1, template=task)
