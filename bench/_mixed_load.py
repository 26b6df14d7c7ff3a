"""A mix of payments of all flows, and faults for one in twenty of them.

Every twentieth payment is sent with the next fault of FAULTS, each of which ends by itself: an exchange that fails,
limits, says nothing or refuses, a node that drops, loses or delays a broadcast, a notice or an event that comes several
times, an instance killed. What must become of it all is the caller's to say.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import _flows as flows
from tests.payments.hops import id_of
from tests.payments.stack import Stack, http

#: Of twenty payments so many are of each flow.
SHARES = {"single": 6, "staged": 5, "usdt": 3, "threshold": 2, "paynow": 4}
#: One payment in so many is sent with a fault.
FAULTY = 20
#: What goes wrong: a fault of the sandbox for one call, copies of a notice, or a service whose instances are killed.
FAULTS: tuple[dict[str, Any], ...] = (
    {"target": "changenow", "kind": "error", "method": "exchange", "status": 500},
    {"kill": "gcsplit"},
    {"target": "chain", "kind": "lost_answer", "method": "eth_sendRawTransaction"},
    {"copies": 3},
    {"target": "changenow", "kind": "error", "method": "exchange", "status": 400},
    {"kill": "gchostpay"},
    {"target": "chain", "kind": "drop", "method": "eth_sendRawTransaction"},
    {"target": "processor", "kind": "lost_answer"},
    {"kill": "gchostpay3"},
    {"target": "changenow", "kind": "lost_answer", "method": "exchange"},
    {"target": "paynow", "kind": "lost_answer"},
    {"kill": "gcwebhook"},
    {"target": "changenow", "kind": "error", "method": "by-id", "status": 429},
    {"target": "chain", "kind": "error", "status": 500},
    {"kill": "gchostpay1"},
    {"target": "telegram", "kind": "error"},
    {"kill": "paynowworker"},
    {"target": "chain", "kind": "delay", "seconds": 3},
    {"target": "changenow", "kind": "error", "method": "estimated-amount", "status": 400},
)
#: PayNow's users.
BUYERS = 8


class Mix:
    """One run: what was sent, by flow, and what was done to it."""

    def __init__(self, stack: Stack, seed: int, faulty: int = FAULTY) -> None:
        self.stack = stack
        self._faulty = faulty
        self.sent: dict[str, list[str]] = {flow: [] for flow in SHARES}
        self.faults = 0
        self._chance = random.Random(seed)
        self._faults = itertools.cycle(FAULTS)
        self._customers = itertools.cycle(flows.buyers(stack, BUYERS))
        self._channel = int(next(iter(flows.operator(stack).call("GET", "gcwebhook", "/thresholds")["thresholds"])))

    @property
    def all(self) -> list[str]:
        """The ids of what was sent."""
        return [one for flow in self.sent.values() for one in flow]

    def send(self, count: int, rate: float) -> None:
        """So many payments at so many a second, in an order that the seed gives; back when each was answered."""
        shares = [flow for flow, share in SHARES.items() for _ in range(share)]
        plan = [flow for _ in range(-(-count // len(shares))) for flow in self._chance.sample(shares, len(shares))]
        began = time.monotonic()
        with ThreadPoolExecutor(64) as pool:
            waiting = []
            for number, flow in enumerate(plan[:count]):
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
                fault = next(self._faults) if number % self._faulty == self._faulty // 2 else {}
                waiting.append(pool.submit(self._one, flow, fault))
            for one in waiting:
                one.result()

    def _one(self, flow: str, fault: dict[str, Any]) -> None:
        self._harm(fault)
        copies = int(fault.get("copies", 1))
        if flow == "paynow":
            body = {"customer": next(self._customers), "copies": copies}
            events = http("POST", f"{self.stack.sandbox}/paynow/events", body, timeout=120)[1]["events"]
            self.sent[flow] += [event["event_id"] for event in events]
            return
        currency = "usdt" if flow == "usdt" else "eth"
        wish: dict[str, Any] = {"amount": flows.PAID[currency], "payout_currency": flows.FOR[currency]}
        if flow == "threshold":
            wish |= {"amount": flows.OVER_THRESHOLD, "channel_id": self._channel}
        elif flow in flows.QUEUES:
            wish["unique_ids"] = [id_of(flow)]
        payments = self.stack.send(currency=currency, duplicate_every=int(copies > 1), **wish)
        self.sent[flow] += [payment["unique_id"] for payment in payments]

    def _harm(self, fault: dict[str, Any]) -> None:
        if "kill" in fault:
            for pid in self.stack.instances(fault["kill"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif "target" in fault:
            self.stack.faults(count=1, **fault)
        self.faults += bool(fault)
