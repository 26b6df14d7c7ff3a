"""The database of the local stack as docs/deploy.md sets one up: what its owner grants before the first migration.

The program's resources make the database and the logins, on the server that the supervisor runs, and its job migrates
by the migrator's login, as on Google. Left to the owner are the roles of the services and what the migrator may do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ops.home import Ports
from ops.stack import identity
from spec import names

#: What is in a home whose tables the owner made before there was a job: all that a migration may want to change.
OWNED = """
    SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
           oid::regclass::text AS name
    FROM pg_class one
    WHERE relnamespace = 'public'::regnamespace AND relowner = 'postgres'::regrole AND relkind IN ('r', 'p', 'v', 'S')
      AND NOT (relkind = 'S' AND EXISTS (SELECT FROM pg_depend WHERE objid = one.oid AND deptype IN ('a', 'i')))
    UNION ALL
    SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proowner = 'postgres'::regrole
"""


def admin_url(ports: Ports, database: str = "postgres") -> str:
    """Where the server's owner logs in; it trusts loopback."""
    return f"postgresql://postgres@127.0.0.1:{ports.postgres}/{database}"


def grant(ports: Ports, services: Sequence[str]) -> None:
    """Step 6 of docs/deploy.md: the roles of these services, and what the migrator may do."""
    migrator = names.cloud_sql_user(names.MIGRATOR_ACCOUNT_ID, identity.of_local_stack().project)
    asyncio.run(_grant(admin_url(ports, names.DATABASE_NAME), migrator, services))


async def _grant(url: str, migrator: str, services: Sequence[str]) -> None:
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
        await _hand_over(connection, migrator)
    finally:
        await connection.close()


async def _hand_over(connection: Any, migrator: str) -> None:
    """Tables change by the hand of who owns them."""
    for thing in await connection.fetch(OWNED):
        await connection.execute(f'ALTER {thing["kind"]} {thing["name"]} OWNER TO "{migrator}"')
