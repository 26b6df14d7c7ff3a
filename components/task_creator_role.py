"""The role that may create tasks and nothing else: Google's enqueuer role can also read payloads, which are tokens."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec import names


@dataclass(frozen=True, kw_only=True)
class TaskCreatorRoleConfig:
    """Where the role is."""

    site: Site


class TaskCreatorRole(pulumi.ComponentResource):
    """The custom role, bound per queue by ``task_queue``."""

    #: The role's full name.
    role: pulumi.Output[str]

    def __init__(self, name: str, config: TaskCreatorRoleConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:TaskCreatorRole", name, None, opts)
        role = gcp.projects.IAMCustomRole(
            name,
            role_id=names.TASK_CREATOR_ROLE_ID,
            project=config.site.project,
            title="Create tasks",
            description="May put a task into the queue it is bound to, and may neither read, change nor delete one.",
            permissions=["cloudtasks.tasks.create"],
            stage="GA",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.role = role.name
        self.register_outputs({"role": self.role})
