"""Cloud SQL over a real Postgres: what is declared is there, what is deleted is gone, what the server refuses stays."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from local_cloud.running import Running
from local_cloud.settings import Settings
from local_cloud.sql.server import scram
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest
from tests.service_code.servers import postgres_server

INSTANCES = "/sql/v1beta4/projects/sluice-local/instances"
DATABASES, USERS = f"{INSTANCES}/pay/databases", f"{INSTANCES}/pay/users"
INSTANCE = {"name": "pay", "databaseVersion": "POSTGRES_16", "settings": {"tier": "db-f1-micro"}}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """An administrator's URL of a server of its own: roles belong to the server."""
    with postgres_server() as url:
        yield url


async def ask(url: str, query: str, *values: Any, database: str = "postgres", user: str = "postgres") -> list[Any]:
    connection: Any = await asyncpg.connect(url, database=database, user=user)
    try:
        return [row[0] for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def roles_of(url: str, user: str) -> set[str]:
    query = (
        "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid "
        "JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = $1"
    )
    return set(await ask(url, query, user))


class Sql:
    """A cloud over the server, and its door."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.cloud = running.cloud
        self.rest = Rest(session, f"http://127.0.0.1:{running.cloud.ports['rest']}")


@pytest.fixture
async def sql(postgres: str, tmp_path: Path, session: aiohttp.ClientSession) -> AsyncIterator[Sql]:
    async with Running(Settings(state=tmp_path / "cloud", postgres=postgres)) as running:
        made = Sql(running, session)
        await made.rest.ok("POST", INSTANCES, INSTANCE)
        yield made
        if (await made.rest("GET", f"{INSTANCES}/pay"))[0] == 200:
            await made.rest.ok("DELETE", f"{INSTANCES}/pay")


@pins(
    "sql",
    "Over the embedded Postgres",
    "Databases are created and dropped; one that somebody is connected to is not dropped",
    documented="databases.insert, databases.delete; the wording is that of public issues",
)
async def test_databases_are_made_and_dropped(sql: Sql, postgres: str) -> None:
    await sql.rest.ok("POST", DATABASES, {"name": "payments"})
    assert await ask(postgres, "SELECT current_database()", database="payments") == ["payments"]
    owner = "SELECT r.rolname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = 'payments'"
    assert await ask(postgres, owner) == ["cloudsqlsuperuser"]
    assert (await sql.rest("POST", DATABASES, {"name": "payments"}))[0] == 409
    connection: Any = await asyncpg.connect(postgres, database="payments")
    try:
        status, refused = await sql.rest("DELETE", f"{DATABASES}/payments")
        assert (status, "is being accessed by other users" in refused["error"]["message"]) == (400, True)
    finally:
        await connection.close()
    await sql.rest.ok("GET", f"{DATABASES}/payments")
    await sql.rest.ok("DELETE", f"{DATABASES}/payments")
    assert await ask(postgres, "SELECT 1 FROM pg_database WHERE datname = 'payments'") == []
    for wrong in ("template1", "postgres"):
        assert (await sql.rest("DELETE", f"{DATABASES}/{wrong}"))[0] in (400, 404)


@pins(
    "sql",
    "Over the embedded Postgres",
    "Users are login roles: BUILT_IN with a password in cloudsqlsuperuser, IAM users in the role of their kind",
    documented="Users of Cloud SQL for PostgreSQL; Manage users with IAM database authentication",
)
async def test_users_are_login_roles(sql: Sql, postgres: str) -> None:
    account = "gcsplit@sluice-local.iam"
    await sql.rest.ok("POST", USERS, {"name": "app", "password": "first word"})
    await sql.rest.ok("POST", USERS, {"name": account, "type": "CLOUD_IAM_SERVICE_ACCOUNT"})
    await sql.rest.ok("POST", USERS, {"name": "ann@example.com", "type": "CLOUD_IAM_USER"})
    assert await ask(postgres, "SELECT current_user::text", user=account) == [account]
    assert await roles_of(postgres, account) == {"cloudsqliamserviceaccount"}
    assert await roles_of(postgres, "ann@example.com") == {"cloudsqliamuser"}
    assert await roles_of(postgres, "app") == {"cloudsqlsuperuser"}
    kept = "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'"
    [first] = await ask(postgres, kept)
    assert first.startswith("SCRAM-SHA-256$4096:")
    await sql.rest.ok("PUT", f"{USERS}?name=app", {"password": "second word"})
    [second] = await ask(postgres, kept)
    assert second == scram("second word", salt_of(second)) != first
    await sql.rest.ok("DELETE", f"{USERS}?name=app")
    assert await ask(postgres, "SELECT 1 FROM pg_roles WHERE rolname = 'app'") == []


def salt_of(verifier: str) -> bytes:
    import base64

    return base64.b64decode(verifier.partition(":")[2].partition("$")[0])


@pins(
    "sql",
    "Over the embedded Postgres",
    "A user that something depends on is not deleted",
    documented="the wording is that of public issues of google_sql_user",
)
async def test_a_user_that_owns_something_stays(sql: Sql, postgres: str) -> None:
    await sql.rest.ok("POST", DATABASES, {"name": "owned"})
    await sql.rest.ok("POST", USERS, {"name": "owner", "password": "word"})
    await ask(postgres, "CREATE SCHEMA theirs AUTHORIZATION owner", database="owned")
    status, refused = await sql.rest("DELETE", f"{USERS}?name=owner")
    assert (status, "some objects depend on it" in refused["error"]["message"]) == (400, True)
    assert (await sql.rest("GET", f"{USERS}/owner"))[0] == 200
    await sql.rest.ok("DELETE", f"{INSTANCES}/pay")
    assert await ask(postgres, "SELECT 1 FROM pg_roles WHERE rolname = 'owner'") == []
    assert await ask(postgres, "SELECT 1 FROM pg_database WHERE datname = 'owned'") == []


@pins(
    "sql",
    "Over the embedded Postgres",
    "One server is one instance: a second instance of Postgres is refused until the first is deleted",
    ours=True,
)
async def test_one_server_is_one_instance(sql: Sql) -> None:
    status, refused = await sql.rest("POST", INSTANCES, INSTANCE | {"name": "other"})
    assert (status, "is the instance pay already" in refused["error"]["message"]) == (400, True)
    await sql.rest.ok("DELETE", f"{INSTANCES}/pay")
    await sql.rest.ok("POST", INSTANCES, INSTANCE | {"name": "other"})
    await sql.rest.ok("DELETE", f"{INSTANCES}/other")


@pins(
    "sql",
    "Over the embedded Postgres",
    "What is kept is made again on a server that lacks it; a server that is away answers 503 and changes nothing",
    ours=True,
)
async def test_what_is_kept_is_made_again(postgres: str, tmp_path: Path, session: aiohttp.ClientSession) -> None:
    state = tmp_path / "cloud"
    async with Running(Settings(state=state, postgres="postgresql://postgres@127.0.0.1:9/postgres")) as running:
        rest = Sql(running, session).rest
        status, refused = await rest("POST", INSTANCES, INSTANCE)
        assert (status, "does not answer at 127.0.0.1:9" in refused["error"]["message"]) == (503, True)
        assert "items" not in await rest.ok("GET", INSTANCES)
    async with Running(Settings(state=state)) as running:
        rest = Sql(running, session).rest
        await rest.ok("POST", INSTANCES, INSTANCE)
        await rest.ok("POST", DATABASES, {"name": "kept"})
        await rest.ok("POST", USERS, {"name": "kept@sluice-local.iam", "type": "CLOUD_IAM_SERVICE_ACCOUNT"})
    async with Running(Settings(state=state, postgres=postgres)) as running:
        assert await ask(postgres, "SELECT current_user::text", database="kept", user="kept@sluice-local.iam")
        await Sql(running, session).rest.ok("DELETE", f"{INSTANCES}/pay")


def test_names_are_quoted(postgres: str) -> None:
    from local_cloud.sql.server import Server

    async def make() -> None:
        server = Server(postgres)
        await server.prepare()
        await server.make_user("a\"b'c; DROP DATABASE postgres", "CLOUD_IAM_USER", "")
        assert await ask(postgres, "SELECT 1 FROM pg_roles WHERE rolname LIKE 'a%DROP%'")
        await server.drop_user("a\"b'c; DROP DATABASE postgres")

    asyncio.run(make())
