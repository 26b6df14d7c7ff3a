"""A fault that could never bite is refused, so that nobody takes for well what was not broken."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.exchange.api import ExchangeApi
from sandbox.faults import Faults


@pytest.mark.parametrize(
    ("target", "method", "known"),
    [
        ("changenow", "nope", "exchange, estimated-amount, by-id, range, min-amount, or an order's id"),
        ("chain", "eth_sendrawtransaction", "eth_sendRawTransaction"),
        ("telegram", "getme", "getMe, createChatInviteLink, sendMessage"),
        ("paynow", "exchange", "'method' of paynow must be one of webhook; without it every call"),
        ("alchemy", ["MINED_TRANSACTION"], "MINED_TRANSACTION"),
    ],
)
def test_a_fault_of_what_the_target_does_not_have_is_refused_with_what_it_has(
    target: str, method: Any, known: str
) -> None:
    with pytest.raises(ValueError, match="'method' of") as caught:
        Faults().add({"target": target, "kind": "error", "method": method})
    assert known in str(caught.value)
    ours = [("changenow", one) for one in ExchangeApi.METHODS.values()]
    for kept, name in [*ours, ("changenow", "0123456789abcd"), ("incidents", "pager"), ("chain", "mine")]:
        assert Faults().add({"target": kept, "kind": "error", "method": name}).method == name
