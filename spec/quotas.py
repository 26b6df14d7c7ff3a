"""How much of each kind Google lets one project have: the model of `sluice:quotas`, with Google's defaults.

A stack says what its project was granted. Counting is `spec.checks.quotas`.

Sources: https://cloud.google.com/tasks/docs/quotas, https://cloud.google.com/scheduler/quotas,
https://cloud.google.com/iam/quotas, https://cloud.google.com/run/quotas.
"""

from __future__ import annotations

from spec.model import Model, Whole, field


def _quota(default: int, what: str) -> int:
    granted: int = field(
        default,
        what,
        ge=1,
        breaks="nobody could tell before the apply whether there is room",
        fix="write what the console shows under IAM & Admin, Quotas",
    )
    return granted


class Quotas(Model):
    """What a project was granted."""

    queues: Whole = _quota(1000, "Queues in the region, Cloud Tasks' default queue among them.")
    scheduler_jobs: Whole = _quota(1000, "Jobs of Cloud Scheduler in the region.")
    service_accounts: Whole = _quota(100, "Service accounts of the project.")
    services: Whole = _quota(1000, "Cloud Run services in the region.")
