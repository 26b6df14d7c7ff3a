"""Migrations: `python -m service_code.kit.migrate up|status|down` with DATABASE_URL of the database's owner.

dbmate applies the plain SQL files of service_code/migrations, each in a transaction, under a lock of the database, so
that two at once are safe and a second run does nothing. `up` then makes each Cloud SQL IAM login `<service>@...` a
member of its service's role. PGPASSWORD is heeded. On Google this runs as a job before traffic moves.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

MIGRATIONS = Path(__file__).parents[1] / "migrations"
ROLES = (
    *("gcwebhook", "gcsplit", "gchostpay", "gchostpay1", "gchostpay3", "gchostpay4"),
    *("gcaccumulator", "gcsplit2", "gcbatchprocessor", "gcmicrobatchprocessor"),
    *("paynowwebhook", "paynowworker", "gcregister"),
)
USAGE = "usage: DATABASE_URL=postgresql://owner@host/payments python -m service_code.kit.migrate up|status|down"


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one migration command and return dbmate's exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    url = (os.environ if environ is None else environ).get("DATABASE_URL", "")
    if len(arguments) != 1 or arguments[0] not in ("up", "status", "down") or not url:
        print(USAGE, file=sys.stderr)
        return 2
    code = run(arguments[0], url)
    if code == 0 and arguments[0] == "up":
        asyncio.run(admit_logins(url))
    return code


def run(command: str, url: str) -> int:
    """Run dbmate: `up` migrates an existing database, `down` takes the newest migration back, `status` lists."""
    tool = Path(sysconfig.get_path("scripts")) / "dbmate"
    verb = {"up": "migrate", "down": "rollback", "status": "status"}[command]
    lock = ["--migration-lock"] if command != "status" else []
    flags = ["--no-dump-schema", "--migrations-dir", str(MIGRATIONS), *lock]
    environ = {**os.environ, "DATABASE_URL": _dbmate_url(url)}
    return subprocess.run([str(tool), *flags, verb], env=environ, check=False).returncode


def _dbmate_url(url: str) -> str:
    """Say it in dbmate's words: no TLS on loopback where nothing else was asked for, and a socket's folder as such."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if query.get("host", "").startswith("/"):
        query["socket"] = query.pop("host")
    elif "sslmode" not in query and parts.hostname in ("127.0.0.1", "localhost", "::1"):
        query["sslmode"] = "disable"
    return urlunsplit(parts._replace(query=urlencode(query)))


async def admit_logins(url: str) -> None:
    """Give every IAM login of a service its service's role."""
    connection = await asyncpg.connect(url)
    try:
        for role in ROLES:
            logins = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE $1", f"{role}@%")
            for login in logins:
                await connection.execute(f'GRANT {role} TO "{login["rolname"]}"')
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
