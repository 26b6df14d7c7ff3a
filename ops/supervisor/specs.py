"""How the three processes of a local stack are started: command lines, configuration files, logs."""

from __future__ import annotations

import os
import sys

from ops.home import ROOT, Home, Ports
from ops.stack import database, identity, material
from ops.supervisor import postgres
from ops.supervisor.child import Spec

#: What our own processes need to find the rooms, and to write their output at once.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def all_of(home: Home, ports: Ports) -> list[Spec]:
    """The processes in the order in which they are started; they are stopped in the reverse order."""
    return [postgres.spec(home, ports.postgres), cloud(home, ports), sandbox(home, ports)]


def cloud(home: Home, ports: Ports) -> Spec:
    """The local cloud."""
    who = identity.of_local_stack()
    state = home.folder("cloud")
    return Spec(
        name="cloud",
        argv=[
            sys.executable, "-m", "local_cloud", "--state", str(state),
            "--project", who.project, "--project-number", who.project_number, "--location", who.region,
            "--rest-port", str(ports.rest), "--grpc-port", str(ports.grpc),
            "--service-rest-port", str(ports.service_rest), "--service-grpc-port", str(ports.service_grpc),
            "--postgres", database.admin_url(ports),
        ],
        log=home.folder("logs") / "cloud.log",
        env=ENVIRONMENT,
    )  # fmt: skip


def signs_with(value: str) -> str:
    """The key of a secret that signs: of several, which a rotation leaves there for a while, the first."""
    return value.splitlines()[0].strip()


def sandbox(home: Home, ports: Ports) -> Spec:
    """The outside world: exchange, payment processor, Telegram and the chain."""
    folder = home.folder("sandbox")
    secrets = material.load(home)
    config = {
        "success_url_signing_key": signs_with(secrets["SUCCESS_URL_SIGNING_KEY"]),
        "processor_ipn_key": signs_with(secrets["PROCESSOR_IPN_KEY"]),
        "changenow_api_key": secrets["CHANGENOW_API_KEY"],
        "telegram_bot_token": secrets["TELEGRAM_BOT_TOKEN"],
        "paynow_webhook_secret": signs_with(secrets["PAYNOW_WEBHOOK_SECRET"]),
        "paynow_url": f"{identity.service_url(ports, 'paynowwebhook')}/api/paynow/webhook",
        "alchemy_signing_key": secrets["ALCHEMY_WEBHOOK_SIGNING_KEY"],
        "alchemy_url": f"{identity.service_url(ports, 'gchostpay4')}/",
        # One event a block, as Alchemy advises; it makes no new webhooks for single mined transactions.
        "alchemy_webhooks": ["ADDRESS_ACTIVITY", "DROPPED_TRANSACTION"],
        "webhook_url": identity.service_url(ports, "gcwebhook"),
        "host_wallet": material.host_wallet(secrets),
        "clock": identity.clock_url(home),
        "block_time": float(os.environ.get("SLUICE_BLOCK_TIME", "1")),
    }
    home.write("sandbox/config.json", config)
    return Spec(
        name="sandbox",
        argv=[
            sys.executable, "-m", "sandbox", "--config", str(folder / "config.json"),
            "--port", str(ports.sandbox), "--rpc-port", str(ports.chain), "--home", str(folder),
        ],
        log=home.folder("logs") / "sandbox.log",
        env=ENVIRONMENT,
    )  # fmt: skip
