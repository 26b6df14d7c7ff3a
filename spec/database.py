"""How the database is kept: the model of `sluice:database`, with what Cloud SQL would refuse.

Owns backups, the maintenance window and whether there is a public address. Leaves the machine and the standby to
`sluice:databaseTier` and `sluice:databaseStandby`, what is in the database to the migrations.

Sources: https://cloud.google.com/sql/docs/postgres/backup-recovery/backups and .../pitr (Enterprise edition: at most
365 backups and 7 days of the log) and https://cloud.google.com/sql/docs/postgres/set-maintenance-window.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from spec.errors import Refused
from spec.model import Flag, Model, Whole, field

#: Two weeks of nightly backups; any moment of the last seven days, which is the most that the edition keeps.
KEPT_BACKUPS, KEPT_LOG_DAYS = 14, 7

#: Tuesday night: whoever looks at what came of it is at work in the morning.
MAINTENANCE_DAY, MAINTENANCE_HOUR = 2, 3


class Database(Model):
    """How the instance is kept."""

    public_address: Flag = field(
        False,
        "True if the instance has a public address too. Cloud Run's connector then takes the public way, and people "
        "reach the instance with the Auth Proxy from outside of the network; no network is ever authorized.",
        breaks="nobody knows whether the database can be reached from the Internet",
        fix="write true or false",
    )
    kept_backups: Whole = field(
        KEPT_BACKUPS,
        "Nightly backups that are kept.",
        ge=1,
        le=365,
        breaks="Cloud SQL refuses the instance",
        fix="write a whole number from 1 to 365",
    )
    kept_log_days: Whole = field(
        KEPT_LOG_DAYS,
        "Days back to any moment of which the database can be restored.",
        ge=1,
        le=7,
        breaks="Cloud SQL refuses the instance",
        fix="write a whole number from 1 to 7",
    )
    maintenance_day: Whole = field(
        MAINTENANCE_DAY,
        "The day of the week of Google's maintenance: 1 is Monday, 7 is Sunday.",
        ge=1,
        le=7,
        breaks="Cloud SQL refuses the instance",
        fix="write a whole number from 1 to 7",
    )
    maintenance_hour: Whole = field(
        MAINTENANCE_HOUR,
        "The hour of that day, in UTC, in which it begins.",
        ge=0,
        le=23,
        breaks="Cloud SQL refuses the instance",
        fix="write a whole number from 0 to 23",
    )

    @model_validator(mode="after")
    def _the_log_begins_at_a_backup(self) -> Self:
        if self.kept_backups < self.kept_log_days:
            raise Refused(
                f"{self.kept_backups} backups do not reach back {self.kept_log_days} days",
                key="kept_backups",
                breaks="Cloud SQL refuses the instance: a moment is restored from the backup before it",
                fix=f"write {self.kept_log_days} or more, or lower kept_log_days",
            )
        return self
