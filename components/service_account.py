"""An account that something runs or calls as, with the few roles that exist only on the whole project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site


@dataclass(frozen=True, kw_only=True)
class ServiceAccountConfig:
    """Who it is."""

    site: Site
    account_id: str
    description: str
    #: Checked against the short list by the spec.
    project_roles: Sequence[str] = ()


class ServiceAccount(pulumi.ComponentResource):
    """A service account."""

    #: ``serviceAccount:<e-mail>``, as policies name it.
    member: pulumi.Output[str]
    email: pulumi.Output[str]
    #: The account's full name.
    path: pulumi.Output[str]

    def __init__(self, name: str, config: ServiceAccountConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:ServiceAccount", name, None, opts)
        account = gcp.serviceaccount.Account(
            name,
            account_id=config.account_id,
            project=config.site.project,
            display_name=config.account_id,
            description=config.description,
            opts=pulumi.ResourceOptions(parent=self, aliases=config.site.aliases),
        )
        self.roles = [
            gcp.projects.IAMMember(
                f"{name}-{role.removeprefix('roles/')}",
                project=config.site.project,
                role=role,
                member=account.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for role in config.project_roles
        ]
        self.member, self.email, self.path = account.member, account.email, account.name
        self.register_outputs({"email": self.email})
