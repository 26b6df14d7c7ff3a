"""The sandbox's config file.

Owns: the keys of the JSON file, their checks and their defaults. Leaves alone: ports and the state folder,
which are arguments of the command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from sandbox.errors import ConfigError

#: Chain id of the local chain: anvil's own, so that wallets and tools know it as a development chain.
CHAIN_ID = 31337

#: Alchemy's webhooks that tell of a wallet: all that there are.
WEBHOOKS = ("ADDRESS_ACTIVITY", "MINED_TRANSACTION", "DROPPED_TRANSACTION")

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that the sandbox is told; secrets are those that the services were given."""

    success_url_signing_key: str
    processor_ipn_key: str
    changenow_api_key: str
    telegram_bot_token: str
    webhook_url: str
    paynow_webhook_secret: str = ""
    paynow_url: str = ""
    alchemy_signing_key: str = ""
    alchemy_url: str = ""
    alchemy_webhooks: tuple[str, ...] = WEBHOOKS
    host_wallet: str | None = None
    clock: str | None = None
    block_time: float = 1.0
    chain_id: int = CHAIN_ID
    confirmations: int = 1


def load(path: Path) -> Config:
    """Read and check the config file; a refusal names the key."""
    try:
        raw = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a JSON object")
    return parse(raw, where=str(path))


def parse(raw: Mapping[str, Any], *, where: str) -> Config:
    """Check the values one by one."""
    known = {field.name: field for field in fields(Config)}
    for key in raw:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'; known are {', '.join(sorted(known))}")
    for name, field in known.items():
        if field.default is MISSING and not isinstance(raw.get(name), str):
            raise ConfigError(f"{where}: '{name}' is missing or not a string")
        if field.default is MISSING and not raw[name]:
            raise ConfigError(f"{where}: '{name}' is empty")
    if not str(raw["webhook_url"]).startswith(("http://", "https://")):
        raise ConfigError(f"{where}: 'webhook_url' must be an http URL, not {raw['webhook_url']!r}")
    webhooks = _senders(raw, where)
    wallet = raw.get("host_wallet")
    if wallet is not None and not (isinstance(wallet, str) and _ADDRESS.fullmatch(wallet)):
        raise ConfigError(f"{where}: 'host_wallet' must be an address of 0x and 40 hex digits, not {wallet!r}")
    clock = raw.get("clock")
    if clock is not None and not (isinstance(clock, str) and clock.startswith("file:///")):
        raise ConfigError(f"{where}: 'clock' must be a file:/// URL or null, not {clock!r}")
    block_time = raw.get("block_time", 1.0)
    if not isinstance(block_time, int | float) or isinstance(block_time, bool) or not 0.05 <= block_time <= 600:
        raise ConfigError(f"{where}: 'block_time' must be between 0.05 and 600 seconds, not {block_time!r}")
    for name in ("chain_id", "confirmations"):
        if name in raw and (not isinstance(raw[name], int) or isinstance(raw[name], bool) or raw[name] < 1):
            raise ConfigError(f"{where}: '{name}' must be a positive whole number, not {raw[name]!r}")
    typed = {"block_time": float(block_time), "alchemy_webhooks": webhooks}
    return Config(**{**raw, **typed, "webhook_url": str(raw["webhook_url"]).rstrip("/")})


def _senders(raw: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Check what only some sandboxes need; which of Alchemy's webhooks there are."""
    for name in ("paynow_webhook_secret", "paynow_url", "alchemy_signing_key", "alchemy_url"):
        if not isinstance(raw.get(name, ""), str):
            raise ConfigError(f"{where}: '{name}' must be a string, not {raw[name]!r}")
    webhooks = raw.get("alchemy_webhooks", WEBHOOKS)
    if not isinstance(webhooks, list | tuple) or not set(webhooks) <= set(WEBHOOKS):
        raise ConfigError(f"{where}: 'alchemy_webhooks' must be a list of some of {', '.join(WEBHOOKS)}")
    return tuple(webhooks)
