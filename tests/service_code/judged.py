"""The judge beside the services in one loop: its facts are what the test's stand-ins saw, and the real chain.

    assert await violations(world, sql) == []

after any scenario; `settled=False` while payments are in flight. Whatever the services do, the judge reads the notices
as they were sent, the orders as the exchange made them, the chain, and the database through its owner.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tests.payments.judging.chain import read_wallet
from tests.payments.judging.facts import Event, Facts, Notice, Order, Terms, Wallet, event_of, notice_of
from tests.payments.judging.verdict import invariants
from tests.service_code.world import SECRETS, Told, World

ETHER = 10**18


async def violations(
    world: World,
    sql: Any,
    *,
    settled: bool = True,
    terms: Terms | None = None,
    funded: Mapping[str, int] | None = None,
    tokens: Mapping[str, str] | None = None,
) -> list[str]:
    """What is wrong, in words.

    `funded` is what the wallet was given beside transactions (100 ether); `tokens` names each contract's currency, by
    default that of `world.usdt`.
    """
    return await invariants(sql, await facts_of(world, terms=terms, funded=funded, tokens=tokens), settled=settled)


async def facts_of(
    world: World,
    *,
    terms: Terms | None = None,
    funded: Mapping[str, int] | None = None,
    tokens: Mapping[str, str] | None = None,
) -> Facts:
    """What is known from outside of the services."""
    if tokens is None:
        tokens = {world.usdt: "usdt"} if world.usdt else {}
    given = {"eth": 100 * ETHER, **dict.fromkeys(tokens.values(), 0)} if funded is None else funded
    address = world.wallet.address
    wallet = Wallet(address=address, spent=[], mined=0, pending=0, balances={}, owned={})
    if world.began is not None:
        url, first = world.began
        wallet = await asyncio.to_thread(read_wallet, url, address, funded=given, tokens=tokens, first_block=first)
    orders = [
        Order(id=one["id"], payin=one["payinAddress"], client=one["client"]) for one in world.outer.orders.values()
    ]
    return Facts(
        notices=_notices(world.told),
        events=_events(world.told),
        orders=orders,
        wallet=wallet,
        terms=terms or Terms(),
    )


def _notices(told: list[Told]) -> list[Notice]:
    """The processor's own notices: what somebody else signed is none, whatever it was answered."""
    found = []
    for one in told:
        if one.service != "gcwebhook" or not _signed(one):
            continue
        try:
            notice = notice_of(one.body, acknowledged=200 <= one.status < 300)
        except (ValueError, KeyError, IndexError, ArithmeticError):  # one of rubbish: it cannot be a payment
            continue
        found += [notice] if notice else []
    return found


def _signed(one: Told) -> bool:
    try:
        canonical = json.dumps(json.loads(one.body), sort_keys=True, separators=(",", ":"))
    except ValueError:
        return False
    expected = hmac.new(SECRETS["PROCESSOR_IPN_KEY"].encode(), canonical.encode(), hashlib.sha512).hexdigest()
    return one.headers.get("x-nowpayments-sig") == expected


def _events(told: list[Told]) -> list[Event]:
    """PayNow's events; one that is sent again is taken where any of its copies was."""
    found: dict[str, Event] = {}
    for one in told:
        if one.service != "paynowwebhook":
            continue
        try:
            event = event_of(one.body, acknowledged=200 <= one.status < 300)
        except (ValueError, KeyError, TypeError):  # one of rubbish: it credits nobody
            continue
        if event.acknowledged or event.event_id not in found:
            found[event.event_id] = event
    return list(found.values())
