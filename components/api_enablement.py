"""The APIs of the project that the system calls. They stay enabled when the stack goes: others may use them too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site

#: Every API that a resource of the program or a service needs.
APIS = (
    "artifactregistry.googleapis.com",
    "billingbudgets.googleapis.com",
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtasks.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "serviceusage.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
)


@dataclass(frozen=True, kw_only=True)
class ApiEnablementConfig:
    """Which APIs, where."""

    site: Site
    apis: Sequence[str] = APIS


class ApiEnablement(pulumi.ComponentResource):
    """The project's enabled APIs."""

    def __init__(self, name: str, config: ApiEnablementConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:ApiEnablement", name, None, opts)
        for api in config.apis:
            gcp.projects.Service(
                api.removesuffix(".googleapis.com"),
                service=api,
                project=config.site.project,
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
