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
    if not all(isinstance(raw.get(name, ""), str) for name in ("paynow_webhook_secret", "paynow_url")):
        raise ConfigError(f"{where}: 'paynow_webhook_secret' and 'paynow_url' must be strings")
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
    return Config(**{**raw, "block_time": float(block_time), "webhook_url": str(raw["webhook_url"]).rstrip("/")})
