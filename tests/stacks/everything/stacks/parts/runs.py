"""What runs: services, jobs, secrets, databases."""

from typing import Any

import pulumi
from pulumi_gcp import cloudrunv2, secretmanager, serviceaccount, sql

from .around import REGION

IMAGE = f"{REGION}-docker.pkg.dev/sluice-local/images/worker@sha256:" + "1" * 64


def runs(changed: bool, worker: serviceaccount.Account) -> None:
    """A service and a job with a secret, and their database."""
    secret = secretmanager.Secret(
        "token", secret_id="token", replication={"auto": {}}, labels={"team": "pay" if not changed else "payments"}
    )
    version = secretmanager.SecretVersion("token-1", secret=secret.id, secret_data="x" * 64, enabled=not changed)
    secretmanager.SecretIamMember(
        "worker-reads-token",
        secret_id=secret.secret_id,
        role="roles/secretmanager.secretAccessor",
        member=worker.member,
    )
    container: dict[str, Any] = {
        "image": IMAGE,
        "args": ["serve"],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
    }
    template: Any = {
        "revision": "worker-a" if not changed else "worker-b",
        "service_account": worker.email,
        "timeout": "30s",
        "max_instance_request_concurrency": 8,
        "scaling": {"min_instance_count": 0, "max_instance_count": 3},
        "containers": [container | {"envs": [{"name": "STAGE", "value": "one" if not changed else "two"}]}],
    }
    service = cloudrunv2.Service(
        "worker",
        name="worker",
        location=REGION,
        ingress="INGRESS_TRAFFIC_ALL",
        labels={"team": "pay"},
        deletion_protection=False,
        template=template,
        traffics=[
            {
                "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
                "revision": "worker-a" if not changed else "worker-b",
                "percent": 100,
                "tag": "stable",
            }
        ],
        opts=pulumi.ResourceOptions(depends_on=[version]),
    )
    cloudrunv2.ServiceIamMember(
        "worker-invokes", name=service.name, location=REGION, role="roles/run.invoker", member=worker.member
    )
    cloudrunv2.ServiceIamBinding(
        "worker-viewers",
        name=service.name,
        location=REGION,
        role="roles/run.viewer",
        members=[worker.member, *(["user:someone@example.com"] if changed else [])],
    )
    job = cloudrunv2.Job(
        "migrate",
        name="migrate",
        location=REGION,
        deletion_protection=False,
        template={
            "template": {
                "service_account": worker.email,
                "timeout": "600s" if not changed else "900s",
                "max_retries": 1,
                "containers": [{"image": IMAGE, "args": ["migrate"]}],
            }
        },
    )
    cloudrunv2.JobIamMember(
        "worker-runs", name=job.name, location=REGION, role="roles/run.jobsExecutor", member=worker.member
    )
    database = sql.DatabaseInstance(
        "db",
        name="db",
        region=REGION,
        database_version="POSTGRES_17",
        deletion_protection=False,
        settings={
            "tier": "db-custom-1-3840",
            "edition": "ENTERPRISE",
            "availability_type": "REGIONAL" if not changed else "ZONAL",
            "backup_configuration": {"enabled": True, "point_in_time_recovery_enabled": True},
            "database_flags": [{"name": "cloudsql.iam_authentication", "value": "on"}],
        },
    )
    sql.Database(
        "payments",
        name="payments",
        instance=database.name,
        charset="UTF8",
        deletion_policy="ABANDON" if changed else None,
    )
    sql.User("app", name="app", instance=database.name, password="secret" if not changed else "other")
