"""How long log entries are kept, and which reads of data are logged: the model of `sluice:logs`.

Owns the days and the list of services. Leaves the buckets and the filter to the components; what is logged by the
services themselves is theirs.

Sources: https://cloud.google.com/logging/docs/buckets (1 to 3650 days) and
https://cloud.google.com/logging/docs/audit/services (services with data access logs).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spec.model import Model, Whole, field

#: Lines about payments are kept for thirteen months, so that a year can be compared with the one before it.
PAYMENT_DAYS = 400

#: Everything else: what Google keeps without being asked, and without asking for money.
OTHER_DAYS = 30

#: Who read which secret, who used which key, and who acted as which account.
DATA_ACCESS = ("cloudkms.googleapis.com", "iam.googleapis.com", "secretmanager.googleapis.com")

Api = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*\.googleapis\.com$")]


class Logs(Model):
    """Days, and services whose reads are logged."""

    payment_days: Whole = field(
        PAYMENT_DAYS,
        "Days for which lines about payments and entries about access to data are kept; beyond 30 each day costs.",
        ge=1,
        le=3650,
        breaks="Cloud Logging refuses the bucket",
        fix="write a whole number from 1 to 3650",
    )
    other_days: Whole = field(
        OTHER_DAYS,
        "Days for which everything is kept; beyond 30 each day costs.",
        ge=1,
        le=3650,
        breaks="Cloud Logging refuses the bucket",
        fix="write a whole number from 1 to 3650",
    )
    data_access: tuple[Api, ...] = field(
        DATA_ACCESS,
        "Services whose reads and writes of data are logged, each entry of which is paid for as a log line.",
        breaks="nobody could tell afterwards who read a secret",
        fix=f"list services such as {DATA_ACCESS[-1]}",
    )
