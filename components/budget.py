"""A month's money: Google tells the billing account's administrators and the project's owners as it is spent.

A budget of the whole project, not of our labels alone: what somebody adds by hand is paid from the same account. It
stops nothing.

Source: https://cloud.google.com/billing/docs/how-to/budgets.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import billing

from components.site import Site
from spec.budget import Budget as BudgetSpec

HUNDRED = 100


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """How much, of which project."""

    site: Site
    spec: BudgetSpec
    project_number: str


class Budget(pulumi.ComponentResource):
    """A budget."""

    def __init__(self, name: str, config: BudgetConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Budget", name, None, opts)
        spec = config.spec
        spent = [(percent / HUNDRED, "CURRENT_SPEND") for percent in sorted(set(spec.thresholds))]
        gcp.billing.Budget(
            name,
            billing_account=spec.billing_account,
            display_name=f"{config.site.project} a month",
            amount=billing.BudgetAmountArgs(
                specified_amount=billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code=spec.currency, units=str(spec.amount)
                )
            ),
            budget_filter=billing.BudgetBudgetFilterArgs(
                projects=[f"projects/{config.project_number}"], calendar_period="MONTH"
            ),
            threshold_rules=[
                billing.BudgetThresholdRuleArgs(threshold_percent=share, spend_basis=basis)
                for share, basis in [*spent, (1.0, "FORECASTED_SPEND")]
            ],
            all_updates_rule=billing.BudgetAllUpdatesRuleArgs(enable_project_level_recipients=True),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
