"""How many connections a database takes, and how many the services may open at once.

Owns Cloud SQL's default by memory and the arithmetic of pools. Leaves the pool itself to `service_code/kit/db`.

Sources: https://cloud.google.com/sql/docs/postgres/flags#postgres-m (max_connections: the default by memory) and
https://cloud.google.com/sql/docs/postgres/quotas; three connections are the superuser's, whom Google keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from spec.service import Service

#: Least memory of an instance in MiB, and the connections it takes by default.
BY_MEMORY = ((122_880, 1000), (61_440, 800), (30_720, 600), (15_360, 500), (7_680, 400), (6_144, 200), (3_840, 100))

#: Shared cores, by tier.
SHARED_CORES = {"db-f1-micro": 25, "db-g1-small": 50}

#: Connections that no login of ours gets.
RESERVED = 3

#: The migration job's one.
MIGRATIONS = 1

#: A rollout has two revisions of each service.
REVISIONS = 2

_CUSTOM = re.compile(r"db-custom-\d+-(\d+)")


def most(tier: str) -> int | None:
    """Return the connections that logins of ours may open on a machine of this tier; nothing of an unknown one."""
    if tier in SHARED_CORES:
        return SHARED_CORES[tier] - RESERVED
    custom = _CUSTOM.fullmatch(tier)
    if custom is None:
        return None
    memory = int(custom[1])
    return next((count - RESERVED for least, count in BY_MEMORY if memory >= least), 50 - RESERVED)


def wanted(services: Iterable[Service]) -> int:
    """Return the connections that all instances of one revision of each service open at most."""
    return sum(service.scaling.max * service.pool for service in services if service.database)
