"""ERC-20 tokens as bytes: a transfer's data, what its call answers, and what its events say. Pure.

The real Tether answers a transfer with nothing at all and reverts when it fails; others answer true, or false and do
not revert. What an answer says is a forecast: that coins moved is told by the Transfer events of a receipt alone.
Source: EIP-20; TetherToken at 0xdAC17F958D2ee523a2206206994597C13D831ec7 (pausing, a blacklist of senders, a fee,
and another contract that moves its coins once it is deprecated, whose events are not its own).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: transfer(address,uint256), balanceOf(address)
TRANSFER, BALANCE_OF = "0xa9059cbb", "0x70a08231"
#: Tether's own: isBlackListed(address), paused(), basisPointsRate(), deprecated()
IS_BLACKLISTED, PAUSED, FEE_RATE, DEPRECATED = "0xe47d6060", "0x5c975abb", "0xdd644f72", "0x0e136b19"
#: The first topic of Transfer(address,address,uint256).
TRANSFERRED = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

_CALL = re.compile(TRANSFER + r"0{24}([0-9a-f]{40})([0-9a-f]{64})\Z")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}\Z")


@dataclass(frozen=True, slots=True)
class Log:
    """One event of a receipt, in lower case."""

    address: str
    topics: tuple[str, ...]
    data: str


def transfer(to: str, units: int) -> str:
    """Return the data of a transfer."""
    return f"{TRANSFER}{_word(to)}{units:064x}"


def about(selector: str, address: str) -> str:
    """Return the data of a question about an address."""
    return selector + _word(address)


def read_transfer(data: str) -> tuple[str, int] | None:
    """Return to whom a call's data transfers how much, or nothing where it is not exactly a transfer."""
    found = _CALL.match(data.lower())
    return ("0x" + found[1], int(found[2], 16)) if found else None


def number(answer: object) -> int | None:
    """Return a call's answer as a number, or nothing where it is none."""
    return int(answer, 16) if isinstance(answer, str) and _WORD.match(answer) else None


def agrees(answer: object) -> bool:
    """Tell whether a transfer that answers so claims to work: nothing, as Tether does, or true."""
    return answer == "0x" or number(answer) == 1


def moved(logs: Sequence[Log], contract: str, sender: str) -> list[tuple[str, int]]:
    """Return what a contract's Transfer events say left a sender for others: to whom, and how much."""
    return [
        ("0x" + log.topics[2][-40:], int(log.data, 16))
        for log in logs
        if log.address == contract.lower()
        and len(log.topics) == 3
        and log.topics[0] == TRANSFERRED
        and log.topics[1] == "0x" + _word(sender)
        and log.topics[2] != log.topics[1]
        and _WORD.match(log.data)
    ]


def _word(address: str) -> str:
    return address.lower().removeprefix("0x").rjust(64, "0")
