"""Starts one service: `python -m service_code.kit.main <service>`, or `main([service])` in a process forked for it.

The settings are read and checked before anything is opened: a service that lacks a secret does not start, and says
which. SIGTERM drains: uvicorn stops listening, lets requests end, and then closes what the service holds.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from service_code.kit import logs
from service_code.kit.settings import SettingsError, read

#: Seconds for requests to end after SIGTERM; Cloud Run kills at ten.
DRAIN = 8
USAGE = "usage: python -m service_code.kit.main <service>"


def services() -> list[str]:
    """Return the services that this image holds: the folders with an app."""
    return sorted(path.parent.name for path in Path(__file__).parents[1].glob("*/app.py") if path.parent.name != "kit")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named service until it is told to stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 1 or not re.fullmatch(r"[a-z][a-z0-9]*", arguments[0]) or arguments[0] not in services():
        print(f"{USAGE}; the services are {', '.join(services())}", file=sys.stderr)
        return 2
    name = arguments[0]
    logs.configure(name, os.environ.get("GCP_PROJECT_ID", ""))
    module = importlib.import_module(f"service_code.{name}.app")
    try:
        settings = read(name, os.environ, module.SECRETS, stateless=getattr(module, "STATELESS", False))
        from service_code.kit.app import build
        from service_code.kit.runtime import Kit

        kit = Kit(settings)
        application = build(kit, module.service(kit))
    except SettingsError as error:
        logs.get("main").critical(str(error), status="not started", what="bad_settings")
        print(error, file=sys.stderr)
        return 1

    import uvicorn

    config = uvicorn.Config(
        application,
        host=os.environ.get("HOST", "0.0.0.0"),  # a platform on loopback says so
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here depends on the caller's address
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
