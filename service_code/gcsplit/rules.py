"""What a payment is divided by, and how long a host payment may take. Pure, from config.

The route `payout` says which payments are paid out in stages (gchostpay1) and which at once (gchostpay).
SPLIT_CLIENT_PERCENT is every client's share (95); SPLIT_CLIENT_PERCENT_BY_CHANNEL, a JSON object, sets it for single
channels. DECISIONS 3 and 12.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from service_code.kit.settings import Settings, SettingsError
from service_code.kit.token_policy import TokenPolicy

#: The route by which a payment is paid out, and the queue of each of its ways.
PAYOUT = "payout"
HOSTPAY_QUEUES = {"single": "hostpay-execution-queue", "staged": "gcsplit-hostpay-trigger-queue"}
#: The network on which the host wallet pays.
HOST_NETWORK = "eth"
#: Used where a queue's spec names no window.
TOKEN_WINDOWS = {"single": timedelta(seconds=60), "staged": timedelta(hours=24)}
#: After the window: a handler that accepted a token in its last second may still be signing; clocks differ.
GRACE = timedelta(seconds=30)
#: For so long the exchange fixes a rate at least.
FIXED_RATE = timedelta(minutes=10)
#: A received payment that could not be split for so long is dead; gcwebhook's sweeper tries until then.
SPLIT_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The shares and windows of this deployment."""

    percent: int
    by_channel: dict[int, int]
    #: How long a host payment's newest token lives, by way.
    windows: dict[str, timedelta]
    refund_address: str | None
    #: What is done about the token of each way.
    tokens: dict[str, TokenPolicy]

    def fixed(self, way: str) -> bool:
        """Tell whether the exchange's rate is fixed: for minutes, so for no host payment that may take longer."""
        return self.windows[way] + GRACE < FIXED_RATE

    def client_percent(self, channel_id: int) -> int:
        """Return the client's share."""
        return self.by_channel.get(channel_id, self.percent)


def rules_of(settings: Settings) -> Rules:
    """Read the rules from config, refusing what is no share."""
    percent = settings.number("SPLIT_CLIENT_PERCENT", 95)
    name = "SPLIT_CLIENT_PERCENT_BY_CHANNEL"
    try:
        by_channel = {int(key): int(value) for key, value in json.loads(settings.config(name, "{}")).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise SettingsError(f'{name} must be a JSON object such as {{"-100123": 97}}') from error
    if not all(1 <= share <= 100 for share in (percent, *by_channel.values())):
        raise SettingsError("SPLIT_CLIENT_PERCENT and SPLIT_CLIENT_PERCENT_BY_CHANNEL must be 1 to 100")
    windows, tokens = dict(TOKEN_WINDOWS), dict.fromkeys(TOKEN_WINDOWS, TokenPolicy())
    for way, queue in HOSTPAY_QUEUES.items():
        edge = settings.queues.get(queue)
        if edge is not None:
            windows[way], tokens[way] = edge.token_window or windows[way], edge.token
    if tokens["staged"].fallback or tokens["staged"].at_delivery:
        raise SettingsError(f"{HOSTPAY_QUEUES['staged']} has its day: it takes no fallback, and no minting at delivery")
    return Rules(
        percent=percent,
        by_channel=by_channel,
        windows=windows,
        refund_address=settings.config("REFUND_ADDRESS", "") or None,
        tokens=tokens,
    )
