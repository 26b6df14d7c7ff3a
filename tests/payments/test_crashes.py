"""The promise of the line under `kill -9`: nothing lost, nothing paid twice, judged from outside.

The kills fall at random moments under a seed that a failure prints; some of the payer's fall between signing and
answering, where a payment service loses money if it ever does: the chain's door holds the broadcast, and the payer dies
with a signed transaction that somebody may or may not have heard of. `make proofs` runs it in full, the suite a dose.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from tests import chance
from tests.dose import share
from tests.payments.judge import judge
from tests.payments.stack import Stack, http, until

pytestmark = pytest.mark.stack

SEED = chance.seed()

#: Who dies at random moments, how often in all, and how often the payer dies between signing and answering.
VICTIMS = ("gcwebhook", "gcsplit", "gchostpay", "cloud")
PAYMENTS, RANDOM_KILLS, PAYER_KILLS = share(200, 80), share(16, 8), share(6, 3)
HELD = "gchostpay, its broadcast held"


def test_payments_survive_kills_of_every_process(second: Stack) -> None:
    stack = second
    before = judge(stack.sandbox, stack.chain, stack.dsn)
    killer = Killer(stack, random.Random(SEED))
    sending = threading.Thread(target=send, args=(stack, killer))
    sending.start()
    killer.run()
    sending.join()
    settle(stack, killer.sent + killer.extra)
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, f"seed {SEED}\n" + "\n".join(report.differences)
    new = {name: count - before.counts.get(name, 0) for name, count in report.counts.items()}
    assert new["payouts"] == PAYMENTS + len(killer.extra), f"seed {SEED}: {new}"
    assert new["dead"] == 0, f"seed {SEED}: {new}"


def send(stack: Stack, killer: Killer) -> None:
    """The payments at 50 a second, every tenth notice three times; whoever gets no 2xx is told again."""
    sent = stack.send(amount="0.01", count=PAYMENTS, rate=50, duplicate_every=10, wait=True)
    killer.sent = [payment["unique_id"] for payment in sent]


def settle(stack: Stack, sent: list[str]) -> None:
    """Let the safety nets work: the clock moves past the sweepers' turns until all is paid."""
    stack.heal()

    def done() -> bool:
        ended = "SELECT 1 FROM split_payout_hostpay WHERE status = 'completed' AND unique_id = ANY($1)"
        if len(stack.sql(ended, sent)) == len(sent):
            return True
        with contextlib.suppress(OSError):  # the cloud may be coming up again
            stack.advance(20)
        return False

    until(done, 240, lambda: f"seed {SEED}: {stack.missing(sent)}")
    stack.idle()


class Killer:
    """Ends processes without a word, until as many have died of each as the test wants."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.stack = stack
        self.chance = chance
        self.sent: list[str] = []
        self.extra: list[str] = []
        self.kills: Counter[str] = Counter()

    def run(self) -> None:
        plan = [*itertools.islice(itertools.cycle(VICTIMS), RANDOM_KILLS), *[HELD] * PAYER_KILLS]
        self.chance.shuffle(plan)
        for victim in plan:
            threading.Event().wait(self.chance.uniform(0.05, 0.5))
            if victim == HELD:
                self.hold_and_kill()
            else:
                self.kill(victim)
            self.kills[victim] += 1

    def kill(self, victim: str) -> None:
        """Kill -9 all instances of a service, or the local cloud itself, as soon as there is one to kill."""
        until(lambda: self.end_all(victim) > 0 or self.stir(), 60, lambda: f"no process of {victim} to kill")

    def stir(self) -> bool:
        """Nobody is there to be killed: one more payment brings the services up."""
        with contextlib.suppress(OSError):
            self.extra += [payment["unique_id"] for payment in self.stack.send(amount="0.01", count=1, wait=False)]
        threading.Event().wait(1)
        return False

    def end_all(self, victim: str) -> int:
        return sum(end(pid) for pid in ([self.cloud()] if victim == "cloud" else list(self.instances(victim))))

    def hold_and_kill(self) -> None:
        """Kill the payer while the chain's door holds its broadcast: signed and stored, not answered.

        Held before or after the chain has heard of it. A payment of its own makes sure that there is one to hold.
        """
        after = self.chance.random() < 0.5
        self.stack.faults(target="chain", method="eth_sendRawTransaction", kind="hold", count=1, after=after)
        try:
            self.extra += [payment["unique_id"] for payment in self.stack.send(amount="0.01", count=1, wait=False)]
            until(self.held, 60, lambda: "no broadcast came to be held")
            self.kill("gchostpay")
        finally:
            self.stack.heal()

    def held(self) -> bool:
        faults = http("GET", f"{self.stack.sandbox}/faults")[1]["faults"]
        return any(fault["waiting"] for fault in faults)

    def cloud(self) -> int:
        pid: int = self.stack.record["children"]["cloud"]["pid"]
        return pid

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
