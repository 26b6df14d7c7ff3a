"""The migrations run as the login that docs/deploy.md makes: no superuser, no owner, with the grants of that page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from service_code.kit import migrate
from tests.service_code.servers import ROOT, on, postgres_server

PROJECT = "sluice-prod"
MIGRATOR = f"sluice-migrator@{PROJECT}.iam"
#: Cloud SQL's `postgres`: no superuser, but a member of the role that owns the database. IAM logins hold nothing.
LIKE_CLOUD_SQL = [
    "CREATE ROLE cloudsqlsuperuser CREATEROLE CREATEDB",
    "CREATE ROLE administrator LOGIN CREATEROLE CREATEDB IN ROLE cloudsqlsuperuser",
    "CREATE DATABASE payments OWNER cloudsqlsuperuser",
    *(f'CREATE ROLE "{name}@{PROJECT}.iam" LOGIN' for name in ("sluice-migrator", *migrate.ROLES)),
]


@pytest.fixture
def server() -> Iterator[str]:
    """A server of its own: roles belong to the server, and here none may exist yet."""
    with postgres_server() as url:
        yield url


async def run(url: str, statements: list[str]) -> Any:
    connection: Any = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetch(statements[-1])
    finally:
        await connection.close()


def test_the_grants_of_the_page_are_enough_to_migrate_and_admit_the_services(server: str) -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    (block,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    asyncio.run(run(on(server, "postgres"), LIKE_CLOUD_SQL))
    granted = [line for line in block.replace("PROJECT", PROJECT).split(";") if line.strip()]
    asyncio.run(run(on(server, "payments", "administrator"), granted))

    url = on(server, "payments", quote(MIGRATOR))
    assert migrate.main(["up"], {"DATABASE_URL": url}) == 0
    assert migrate.main(["up"], {"DATABASE_URL": url}) == 0

    for name in migrate.ROLES:
        login = on(server, "payments", quote(f"{name}@{PROJECT}.iam"))
        found = asyncio.run(run(login, ["SELECT version FROM schema_migrations ORDER BY version DESC LIMIT 1"]))
        newest = max(path.name for path in migrate.MIGRATIONS.glob("*.sql"))
        assert newest.startswith(found[0]["version"])
    mine = "SELECT rolsuper OR rolcreaterole OR rolcreatedb AS much FROM pg_roles WHERE rolname = current_user"
    assert [row["much"] for row in asyncio.run(run(url, [mine]))] == [False]
