"""Which of two ways a payment takes: a share of them, chosen by the payment's id, the same one whoever asks.

A hash of the id with the route's salt gives each payment a place from 0 to 9,999; the new way takes those below the
percent. So raising the number only moves payments towards the new way. The choice is stored with the payment and never
made again for it. Source: DESIGN section 5, DECISIONS 15.
"""

from __future__ import annotations

import hashlib

from service_code.kit.settings import Settings, SettingsError

#: Places: a hundredth of a per cent each.
PLACES = 10_000


def place(salt: str, key: str) -> int:
    """Return the place of a key, from 0 to 9,999."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * PLACES >> 64


def takes_new_way(salt: str, key: str, percent: int) -> bool:
    """Tell whether a key is within the share of the new way, given in per cent."""
    return place(salt, key) < percent * PLACES // 100


def percent_of(settings: Settings, name: str) -> int:
    """Read a share from config: a whole number of per cent, 0 unless set."""
    percent = settings.number(name, 0)
    if percent > 100:
        raise SettingsError(f"{name} is {percent}: it must be 0 to 100, the per cent of payments on the new way")
    return percent
