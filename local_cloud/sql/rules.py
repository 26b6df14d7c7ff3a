"""What Cloud SQL says of an instance's settings before it takes them.

Owns the checks that need no server: tier and edition, backups and point-in-time recovery, the maintenance window,
flags. What passes is kept field for field. Source: google/cloud/sql/v1beta4/cloud_sql_resources.proto,
https://cloud.google.com/sql/docs/postgres/create-instance and .../backup-recovery/pitr.
"""

import re

from local_cloud.descriptors import Message
from local_cloud.errors import ApiError, invalid
from local_cloud.sql.state import is_postgres, value_name

NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
#: Project and instance share this much, with a colon between.
LONGEST = 98
_TIER = re.compile(r"db-(?:f1-micro|g1-small|custom-\d+-\d+|perf-optimized-N-\d+|c4a-highmem-\d+|[a-z0-9]+-[a-z0-9-]+)")
_PLUS_TIER = re.compile(r"db-(?:perf-optimized-N|c4a-highmem)-\d+")
_HOUR = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_SWITCH = ("on", "off")
#: Days of transaction logs that an edition keeps at most.
_LOG_DAYS = {"ENTERPRISE": 7, "ENTERPRISE_PLUS": 35}


def check_name(project: str, name: str) -> None:
    """The name of a new instance."""
    if not NAME.fullmatch(name) or len(project) + len(name) + 1 > LONGEST:
        raise invalid(f"Invalid request: Invalid value for: Invalid instance name ({name}).")


def check_settings(made: Message) -> None:
    """Refuse settings that contradict themselves or one another."""
    settings = made.settings
    if not settings.tier:
        raise invalid("Invalid request: Missing parameter: tier.")
    if not _TIER.fullmatch(settings.tier):
        raise _wrong(f"Invalid Tier ({settings.tier}) for ({value_name(made, 'database_version')})")
    edition = value_name(settings, "edition")
    if (edition == "ENTERPRISE_PLUS") != bool(_PLUS_TIER.fullmatch(settings.tier)):
        better = "db-perf-optimized-N-*" if edition == "ENTERPRISE_PLUS" else "db-custom-*"
        raise _wrong(
            f"Invalid Tier ({settings.tier}) for ({edition}) Edition. Use a predefined Tier like {better} instead"
        )
    _check_backups(made, _LOG_DAYS.get(edition, 7))
    window = settings.maintenance_window
    if not 0 <= window.day.value <= 7 or not 0 <= window.hour.value <= 23:
        raise _wrong("the maintenance window needs a day from 1 to 7 and an hour from 0 to 23")
    if settings.HasField("data_disk_size_gb") and not 10 <= settings.data_disk_size_gb.value <= 65536:
        raise _wrong(f"disk size {settings.data_disk_size_gb.value} must be between 10 and 65536 GB")
    _check_flags(settings)
    for key, value in settings.user_labels.items():
        if not _LABEL.fullmatch(key) or (value and not re.fullmatch(r"[a-z0-9_-]{0,63}", value)):
            raise _wrong(f"Invalid label ({key}={value})")


def check_change(current: Message, made: Message) -> None:
    """What cannot be changed once it is there."""
    size, before = made.settings.data_disk_size_gb.value, current.settings.data_disk_size_gb.value
    if size < before:
        raise _wrong(f"disk size cannot be decreased from {before} GB to {size} GB")
    if is_postgres(current) and made.database_version < current.database_version:
        raise _wrong("the database version cannot be changed to an older one")


def _check_backups(made: Message, most_days: int) -> None:
    backup, settings = made.settings.backup_configuration, made.settings
    enabled, recovery = backup.enabled.value, backup.point_in_time_recovery_enabled.value
    if recovery and not enabled:
        raise _wrong("Point in time recovery cannot be enabled when backup is disabled")
    if value_name(settings, "availability_type") == "REGIONAL" and is_postgres(made) and not (enabled and recovery):
        raise _wrong("Regional availability needs backups and point in time recovery")
    if backup.start_time and not _HOUR.fullmatch(backup.start_time):
        raise _wrong(f"Invalid backup start time ({backup.start_time}): HH:MM is expected")
    days = backup.transaction_log_retention_days
    if backup.HasField("transaction_log_retention_days") and not 1 <= days.value <= most_days:
        raise _wrong(f"Transaction log retention days must be between 1 and {most_days}")
    kept = backup.backup_retention_settings.retained_backups
    if backup.backup_retention_settings.HasField("retained_backups") and not 1 <= kept.value <= 365:
        raise _wrong("Retained backups must be between 1 and 365")
    if backup.HasField("transaction_log_retention_days") and kept.value and kept.value < days.value:
        raise _wrong("Retained backups must not be fewer than the transaction log retention days")


def _check_flags(settings: Message) -> None:
    seen: set[str] = set()
    for flag in settings.database_flags:
        if not flag.name:
            raise _wrong("a database flag needs a name")
        if flag.name in seen:
            raise _wrong(f"Duplicate flag ({flag.name})")
        seen.add(flag.name)
        if flag.name == "cloudsql.iam_authentication" and flag.value not in _SWITCH:
            raise _wrong(f"Invalid flag value ({flag.value}) for {flag.name}: on or off is expected")


def _wrong(why: str) -> ApiError:
    return invalid(f"Invalid request: {why}.")
