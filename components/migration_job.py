"""The job that brings the database's tables up to date, with an account and a login of its own.

An apply runs it: a job with a new `run_execution_token` is executed as it is written, and its write ends when the
execution has. The token is a hash of all that the job is made of, so that a release runs it once, before the services,
which wait for it (docs/adr/migrations-by-token.md). What it may do in the database beyond logging in, the database's
owner grants once by hand; what it does there, the migrations say.

Source: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs (create_execution).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import cloudrunv2 as run

from components.database_user import DatabaseUser, DatabaseUserConfig
from components.environment import SQL_SOCKETS
from components.revision import digest_of
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
            run_execution_token=_token(config),
            template=_template(config, account),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[login, *config.logins, *account.roles]),
        )
        self.register_outputs({"job": self.job.name})


def _token(config: MigrationJobConfig) -> str:
    """Another one for another job, and the same for the same: going back to an older release runs nothing anew."""
    made_of = [config.image, config.database_url, config.sql_instance, LOG_IN_AND_MIGRATE, TIMEOUT, LIMITS]
    return digest_of([*made_of, config.site.labels])


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
