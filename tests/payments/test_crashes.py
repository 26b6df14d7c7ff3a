"""The promise of the line under `kill -9`: nothing lost, nothing paid twice, judged from outside.

The kills fall at random moments under a seed that a failure prints; some of the payer's fall between signing and
answering, where a payment service loses money if it ever does: the chain's door holds the broadcast, and the payer dies
with a signed transaction that somebody may or may not have heard of.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.payments.judge import judge
from tests.payments.stack import Stack, http, until

pytestmark = pytest.mark.stack

SEED = int(os.environ.get("SLUICE_SEED", random.SystemRandom().randrange(10**6)))

#: Kills of a run: at random moments, and of the payer between signing and answering.
RANDOM_KILLS, PAYER_KILLS = 18, 6


def test_200_payments_survive_24_kills(new_stack: Callable[[], Stack]) -> None:
    stack = new_stack()
    chance = random.Random(SEED)
    killer = Killer(stack, chance)
    sending = threading.Thread(target=send, args=(stack, killer))
    sending.start()
    killer.run()
    sending.join()
    settle(stack, killer.sent)
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, f"seed {SEED}\n" + "\n".join(report.differences)
    assert killer.kills["gchostpay held"] >= 5
    assert sum(killer.kills.values()) >= 20, killer.kills


def send(stack: Stack, killer: Killer) -> None:
    """200 payments at 50 a second, every tenth notice three times; whoever gets no 2xx is told again."""
    sent = stack.send(amount="0.01", count=200, rate=50, duplicate_every=10, wait=True)
    killer.sent = [payment["unique_id"] for payment in sent]


def settle(stack: Stack, sent: list[str]) -> None:
    """Let the safety nets work: the clock moves past the sweepers' turns until all is paid."""
    stack.heal()

    def done() -> bool:
        rows = stack.sql("SELECT count(*) AS n FROM split_payout_hostpay WHERE status = 'completed'")
        if rows[0]["n"] >= len(sent):
            return True
        with contextlib.suppress(OSError):  # the cloud may be coming up again
            stack.advance(20)
        return False

    until(done, 240, lambda: f"seed {SEED}: {stack.missing(sent)}")
    stack.idle()


class Killer:
    """Ends processes without a word."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.stack = stack
        self.chance = chance
        self.sent: list[str] = []
        self.kills: dict[str, int] = {}

    def run(self) -> None:
        plan = ["gcwebhook", "gcsplit", "gchostpay", "cloud"] * (RANDOM_KILLS // 4 + 1)
        plan = plan[:RANDOM_KILLS] + ["gchostpay held"] * PAYER_KILLS
        self.chance.shuffle(plan)
        for victim in plan:
            threading.Event().wait(self.chance.uniform(0.05, 0.5))
            hit = self.hold_and_kill() if victim == "gchostpay held" else self.kill(victim)
            self.kills[victim] = self.kills.get(victim, 0) + hit

    def kill(self, victim: str) -> int:
        """Kill -9 all instances of a service, or the local cloud itself."""
        pids = [self.stack.record["children"]["cloud"]["pid"]] if victim == "cloud" else list(self.instances(victim))
        return sum(end(pid) for pid in pids)

    def hold_and_kill(self) -> int:
        """Kill the payer while the chain's door holds its broadcast: signed and stored, not answered."""
        before = self.chance.random() < 0.5  # held before or after the chain has heard of it
        self.stack.faults(target="chain", method="eth_sendRawTransaction", kind="hold", count=1, after=not before)
        try:
            until(self.held, 20)
        except AssertionError:
            return 0  # no payout was under way: nothing to kill between signing and answering
        finally:
            killed = sum(end(pid) for pid in self.instances("gchostpay"))
            self.stack.heal()
        return min(killed, 1)

    def held(self) -> bool:
        faults = http("GET", f"{self.stack.sandbox}/faults")[1]["faults"]
        return any(fault["waiting"] for fault in faults)

    def instances(self, service: str) -> Iterator[int]:
        """The service's processes, as the operating system shows them: the cloud may be dead just now."""
        for process in self.stack.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if f"sluice: {service} " in " ".join(process.cmdline()):
                    yield process.pid


def end(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1
