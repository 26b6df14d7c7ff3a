"""The Postgres server that stands for Cloud SQL's machine: databases and login roles, made and dropped as Google does.

Owns the statements and their quoting. It is given an administrator's URL and starts no server; what belongs to an
instance is kept by state.py. A password reaches the server as its SCRAM verifier alone, so that no log can hold it.
Source: https://cloud.google.com/sql/docs/postgres/users, .../add-manage-iam-users.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from local_cloud.errors import ApiError, invalid

#: Roles that every instance has, with what they may do.
SYSTEM_ROLES = {
    "cloudsqlsuperuser": "NOLOGIN CREATEROLE CREATEDB",
    "cloudsqliamuser": "NOLOGIN",
    "cloudsqliamserviceaccount": "NOLOGIN",
    "cloudsqliamgroup": "NOLOGIN",
}
#: What a new user is a member of, by its type.
MEMBER_OF = {
    "BUILT_IN": "cloudsqlsuperuser",
    "CLOUD_IAM_USER": "cloudsqliamuser",
    "CLOUD_IAM_SERVICE_ACCOUNT": "cloudsqliamserviceaccount",
    "CLOUD_IAM_GROUP": "cloudsqliamgroup",
}
#: Databases that cannot be made or dropped.
SYSTEM_DATABASES = ("postgres", "template0", "template1", "cloudsqladmin")
_ROUNDS, _PATIENCE = 4096, 10.0


class Server:
    """One Postgres server."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.place = f"{parts.hostname or 'its socket'}:{parts.port or 5432}"

    async def prepare(self) -> None:
        """The roles of a fresh instance; `postgres` is a member of cloudsqlsuperuser."""
        async with self._connected() as connection:
            for role, powers in SYSTEM_ROLES.items():
                await self._make_role(connection, role, powers)
            await connection.execute("GRANT cloudsqlsuperuser TO postgres")

    async def make_database(self, name: str, charset: str) -> None:
        """A database that cloudsqlsuperuser owns; one that is there already stays as it is."""
        async with self._connected() as connection:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                return
            made = f"CREATE DATABASE {quoted(name)} OWNER cloudsqlsuperuser"
            if charset.upper() not in ("", "UTF8"):
                made += f" ENCODING {literal(charset)} TEMPLATE template0"
            await self._execute(connection, made, f'failed to create database "{name}"')

    async def drop_database(self, name: str, *, force: bool = False) -> None:
        """Drops a database, unless somebody is connected to it; `force` ends the connections."""
        async with self._connected() as connection:
            others = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name)
            if others and not force:  # the server would wait five seconds for them before it says so
                raise invalid(
                    f'Invalid request: failed to delete database "{name}": . database "{name}" is being accessed by '
                    f"other users Details: There are {others} other sessions using the database."
                )
            drop = f"DROP DATABASE IF EXISTS {quoted(name)}{' WITH (FORCE)' if force else ''}"
            await self._execute(connection, drop, f'failed to delete database "{name}"')

    async def make_user(self, name: str, kind: str, password: str, roles: Sequence[str] = ()) -> None:
        """A login role of a type of user; one that is there already gets the password and the roles."""
        powers = "LOGIN CREATEROLE CREATEDB" if kind == "BUILT_IN" else "LOGIN"
        async with self._connected() as connection:
            await self._make_role(connection, name, powers)
            await self._set_password(connection, name, password)
            for role in roles or (MEMBER_OF[kind],):
                await self._execute(connection, f"GRANT {quoted(role)} TO {quoted(name)}", f"failed to grant {role}")

    async def change_user(self, name: str, password: str, roles: Sequence[str], *, revoke: bool) -> None:
        """Another password, more roles, or other roles instead of those it has."""
        async with self._connected() as connection:
            await self._set_password(connection, name, password)
            if revoke:
                have = await connection.fetch(
                    "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid "
                    "JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = $1",
                    name,
                )
                for row in have:
                    await connection.execute(f"REVOKE {quoted(row['rolname'])} FROM {quoted(name)}")
            for role in roles:
                await self._execute(connection, f"GRANT {quoted(role)} TO {quoted(name)}", f"failed to grant {role}")

    async def drop_user(self, name: str) -> None:
        """Drops a login role that nothing depends on."""
        async with self._connected() as connection:
            await self._execute(connection, f"DROP ROLE IF EXISTS {quoted(name)}", f"failed to delete user {name}")

    async def version(self) -> str:
        """What the server says it is."""
        async with self._connected() as connection:
            return str(await connection.fetchval("SHOW server_version"))

    async def _make_role(self, connection: Any, name: str, powers: str) -> None:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
            await self._execute(connection, f"CREATE ROLE {quoted(name)} {powers}", f"failed to create user {name}")

    async def _set_password(self, connection: Any, name: str, password: str) -> None:
        if password:
            verifier = scram(password, secrets.token_bytes(16))
            await connection.execute(f"ALTER ROLE {quoted(name)} PASSWORD {literal(verifier)}")

    async def _execute(self, connection: Any, statement: str, failed: str) -> None:
        import asyncpg

        try:
            await connection.execute(statement)
        except asyncpg.PostgresError as error:
            detail = f" Details: {error.detail}" if getattr(error, "detail", None) else ""
            raise invalid(f"Invalid request: {failed}: . {error}{detail}") from None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        import asyncpg

        try:
            connection = await asyncpg.connect(self._url, timeout=_PATIENCE, command_timeout=_PATIENCE)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            raise ApiError(
                "UNAVAILABLE",
                f"The Postgres server behind Cloud SQL does not answer at {self.place} "
                f"({str(error) or type(error).__name__}): start it, or start the local cloud without --postgres.",
            ) from None
        try:
            yield connection
        finally:
            await connection.close()


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string, where a statement takes no parameters."""
    return "'" + text.replace("'", "''") + "'"


def scram(password: str, salt: bytes) -> str:
    """The verifier that Postgres keeps of a password (RFC 5803, SCRAM-SHA-256)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored, server = hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")
    shown = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ROUNDS}:{shown[0]}${shown[1]}:{shown[2]}"
