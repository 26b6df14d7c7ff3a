"""What keeping costs: log lines beyond the days that are free, entries about access to data, and the key of the state.

A line about a payment is stored in two buckets and paid for in both; so is an entry about access to data. Days beyond
the first 30 are paid by the month, here as they are once the bucket has filled. What costs nothing is named here, so
that nobody looks for it: the network, the lent range, Direct VPC egress within a region, the budget, query insights.

Sources: https://cloud.google.com/products/observability/pricing (Logging storage and retention) and
https://cloud.google.com/kms/pricing.
"""

from __future__ import annotations

from collections.abc import Iterator

import spec
from ops.cost.month import DAYS

#: Days of every bucket that cost nothing besides the storage.
FREE_DAYS = 30
#: What an audit entry of one read weighs in a bucket, about, and in how many buckets it stands.
ENTRY, BUCKETS = 1500, 2
#: Keys of the first step of docs/deploy.md, each with the version that encrypts.
KEYS = 1

#: Kind, name, item of the price table, units.
Used = tuple[str, str, str, float]


def used(below: spec.StackConfig, logged: float, about_payments: float, secret_reads: float) -> Iterator[Used]:
    """Of a month with so many bytes of lines, so many of them about payments, and so many reads of secrets."""
    logs = below.logs
    audited = secret_reads * ENTRY if "secretmanager.googleapis.com" in logs.data_access else 0.0
    yield "logs", "lines about payments, again", "logging.ingest", about_payments
    yield "logs", "reads of secrets", "logging.ingest", audited * BUCKETS
    kept = _beyond(about_payments + audited, logs.payment_days) + _beyond(logged + audited, logs.other_days)
    yield "logs", "days beyond 30", "logging.retention", kept
    yield "state", "key of Pulumi's state", "kms.version", KEYS


def _beyond(bytes_a_month: float, days: int) -> float:
    """Bytes that are older than the free days, once the bucket has filled."""
    return bytes_a_month * max(0, days - FREE_DAYS) / DAYS
