"""The account that people and CI impersonate to operate the services.

Which services it may call, their specs say (``operator_paths``) and ``run_service`` grants. Who may impersonate it is
left to the project's owners: people are not in the specs.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.service_account import ServiceAccount, ServiceAccountConfig
from components.site import Site
from spec import names


@dataclass(frozen=True, kw_only=True)
class OperatorConfig:
    """Where it operates."""

    site: Site


class Operator(pulumi.ComponentResource):
    """The operators' account."""

    member: pulumi.Output[str]

    def __init__(self, name: str, config: OperatorConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Operator", name, None, opts)
        account = ServiceAccount(
            name,
            ServiceAccountConfig(
                site=config.site,
                account_id=names.OPERATOR_ACCOUNT_ID,
                description="People and CI that operate the services impersonate this account",
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.member = account.member
        self.register_outputs({"member": self.member})
