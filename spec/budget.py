"""What an environment may cost before somebody is told: the model of `sluice:budget`.

Owns amount and thresholds. Who is told is Google's default: the billing account's administrators and the project's
owners. A budget stops nothing.

Source: https://cloud.google.com/billing/docs/how-to/budgets.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spec.model import Model, Whole, field

#: Half of the month's money says that all is as planned; the rest asks for somebody.
THRESHOLDS = (50, 90, 100)

Threshold = Annotated[Whole, Field(ge=1, le=1000)]


class Budget(Model):
    """A month's money."""

    billing_account: str = field(
        ...,
        "The billing account that pays for the project.",
        pattern=r"^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$",
        breaks="Google knows no such account",
        fix="write its id: gcloud billing projects describe PROJECT --format='value(billingAccountName.basename())'",
    )
    amount: Whole = field(
        ...,
        "What a month may cost, in whole units of the currency; `./sluice cost` estimates it.",
        ge=1,
        breaks="nobody would be told, or everybody at once",
        fix="write a whole number, for example 500",
    )
    currency: str = field(
        "USD",
        "The currency of the billing account; a budget cannot be in another.",
        pattern=r"^[A-Z]{3}$",
        breaks="Google refuses the budget",
        fix="write three capital letters, for example USD",
    )
    thresholds: tuple[Threshold, ...] = field(
        THRESHOLDS,
        "Per cent of the amount at which Google tells; once more when the forecast reaches the amount.",
        min_length=1,
        breaks="nobody would be told",
        fix="list whole numbers, for example [50, 90, 100]",
    )
