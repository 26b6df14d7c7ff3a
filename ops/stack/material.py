"""The secret values of a local stack: made at random once, kept in SLUICE_HOME/secrets.json for its owner alone.

On Google Cloud nobody calls this: secret versions are added by hand or by a rotation, never by the program, so that
no secret value is ever in Pulumi's state (DECISIONS 5).
"""

from __future__ import annotations

import secrets as random
from typing import cast

from ops.home import ROOT, Home
from spec import files

#: Signing keys have 64 characters or more (DECISIONS 5).
KEY_CHARACTERS = 64

#: Secrets that are not signing keys, and how each is made.
_PARTICULAR = {
    "HOST_WALLET_PRIVATE_KEY": lambda: "0x" + random.token_hex(32),
    "CHANGENOW_API_KEY": lambda: random.token_hex(32),
    "TELEGRAM_BOT_TOKEN": lambda: f"{random.randbelow(10**10):010d}:{random.token_urlsafe(26)}",
}

#: URLs into the sandbox: the chain's holds a key, as a node provider's does, and the sandbox says it when it is ready.
CHAIN_URL, SLACK_URL = "ETHEREUM_RPC_URL", "SLACK_ALERT_WEBHOOK"


def load(home: Home) -> dict[str, str]:
    """The values by name; those that are missing are made and kept."""
    known = cast(dict[str, str], home.read("secrets.json") or {})
    wanted = [name for name in files.secrets(ROOT, []) if name not in (CHAIN_URL, SLACK_URL)]
    missing = [name for name in wanted if name not in known]
    if missing:
        known |= {name: _make(name) for name in missing}
        home.write("secrets.json", known)
    return known


def host_wallet(values: dict[str, str]) -> str:
    """The address that pays, from its private key; by the parts of eth_account, which is slow to import as a whole."""
    import coincurve
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    key = coincurve.PrivateKey.from_hex(values["HOST_WALLET_PRIVATE_KEY"].removeprefix("0x"))
    return str(to_checksum_address(keccak(key.public_key.format(compressed=False)[1:])[-20:]))


def with_sandbox(values: dict[str, str], rpc: str, sandbox: str) -> dict[str, str]:
    """The values with the addresses of the sandbox's chain and of its Slack."""
    return {**values, CHAIN_URL: rpc, SLACK_URL: f"{sandbox}/slack/services/T0/B0/local"}


def _make(name: str) -> str:
    make = _PARTICULAR.get(name)
    return make() if make else random.token_urlsafe(KEY_CHARACTERS)[:KEY_CHARACTERS]
