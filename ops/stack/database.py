"""The database of the local stack, as docs/deploy.md sets one up: the owner's grants, then the migrations.

The program's resources make the database and the logins, on the server that the supervisor runs. Left to the owner are
the roles of the services and what the migrator may do; the migrations run by the migrator's login, as on Google.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from urllib.parse import quote

from ops.errors import OpsError
from ops.home import ROOT, Ports
from ops.stack import identity
from spec import names


def admin_url(ports: Ports, database: str = "postgres") -> str:
    """Where the server's owner logs in; it trusts loopback."""
    return f"postgresql://postgres@127.0.0.1:{ports.postgres}/{database}"


def migrate(ports: Ports, services: Sequence[str]) -> str:
    """Bring tables and roles up to date; the last line of what the migrations said."""
    migrator = names.cloud_sql_user(names.MIGRATOR_ACCOUNT_ID, identity.of_local_stack().project)
    user = asyncio.run(_grant(admin_url(ports, names.DATABASE_NAME), migrator, services))
    url = f"postgresql://{quote(user, safe='')}@127.0.0.1:{ports.postgres}/{names.DATABASE_NAME}"
    done = subprocess.run(
        [sys.executable, "-m", "service_code.kit.migrate", "up"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OpsError(
            f"the database could not be migrated:\n{(done.stderr or done.stdout).strip()}",
            why="services must not meet tables of another release",
            fix="mend the migration under service_code/migrations and run ./sluice up again",
        )
    said = done.stdout.strip().splitlines()
    return said[-1] if said else ""


async def _grant(url: str, migrator: str, services: Sequence[str]) -> str:
    """The grants of docs/deploy.md, step 6; whose login the migrations take.

    A database that was migrated by its owner before goes on so: tables change by the hand of who made them.
    """
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        have = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        for role in services:
            if role not in have:
                await connection.execute(f'CREATE ROLE "{role}"')
            await connection.execute(
                f'GRANT "{role}" TO "{migrator}" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
            )
        await connection.execute(f'GRANT USAGE, CREATE ON SCHEMA public TO "{migrator}" WITH GRANT OPTION')
        owner = await connection.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'schema_migrations'")
        return "postgres" if owner == "postgres" else migrator
    finally:
        await connection.close()
