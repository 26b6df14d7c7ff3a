"""Cases of a payer on a chain that misbehaves: a pure description made from a seed, and nothing that runs.

A case is some payouts of both payers on one wallet, in ether and in USDT, and a schedule of steps: deliveries (again,
together, killed at some await), blocks, time, and faults of chain, token, node and people. What a step means is
`chain_runner`'s; that all of it comes to a good end once everything is healed is `chain_judge`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

#: The deepest reorganisation: the chain calls final what lies deeper.
DEEPEST = 64
#: The last await of a delivery or sweep at which an instance is killed; most end before.
LAST_AWAIT = 60
#: What a case is mostly about: its name, and which steps come oftener for it.
THEMES = {
    "reorganised": ("reorg", "mine", "ask"),
    "dropped": ("drop", "stuck", "sweep"),
    "replaced": ("older", "stuck", "reorg"),
    "dear": ("spike", "stuck", "ask"),
    "lied to": ("lie", "sweep", "confirm"),
    "unanswered": ("silence", "ask", "sweep"),
    "killed": ("ask", "confirm", "sweep"),
    "operated": ("abandon", "replay", "turncoat", "halt", "mine"),
    "crowded": ("together", "mine", "ask"),
    "robbed": ("foreign", "resume", "reorg"),
    "mixed": (),
}
#: How often a step comes of itself.
WEIGHTS = {
    "ask": 10, "confirm": 10, "sweep": 10, "together": 4, "bury": 3, "mine": 12, "wait": 8, "reorg": 4, "drop": 3,
    "older": 2, "spike": 2, "lie": 5, "silence": 5, "abandon": 2, "replay": 2, "turncoat": 1, "resume": 1,
    "release": 2, "stuck": 6, "halt": 1, "foreign": 0,
}  # fmt: skip
#: How much oftener a theme's own steps come.
EMPHASIS = 10
#: What may be wrong in a node's answers, by call.
LIES = {
    "eth_getTransactionCount": ("stale", "ahead"),
    "eth_getBalance": ("stale", "nothing"),
    "eth_blockNumber": ("stale",),
    "eth_getTransactionReceipt": ("nothing", "branch", "reverted", "silent", "astray"),
    "eth_getTransactionByHash": ("nothing",),
    "eth_getBlockByNumber": ("nothing", "branch"),
    "eth_feeHistory": ("nothing", "dear"),
    "eth_estimateGas": ("nothing",),
    "eth_call": ("stale", "nothing"),
    "eth_getCode": ("no contract",),
    "eth_sendRawTransaction": (
        "already known", "nonce too low", "replacement transaction underpriced", "insufficient funds for gas",
        "taken, then already known", "taken, then nonce too low", "forgotten", "held",
    ),
}  # fmt: skip
#: Lies of what a mined transaction did come once: what a node says of it again when it is final is believed.
ONCE = ("reverted", "silent", "astray")
#: How a call goes unanswered: before the node has heard of it, or after it has obeyed; by a door's error or a cut line.
SILENCES = ("refused before", "cut before", "refused after", "cut after")
#: What becomes of the transactions of blocks that a reorganisation takes away.
RETURNS = ("gone", "same", "older", "some")
SERVICES = ("gchostpay", "gchostpay3")
#: What is paid, and the base units of which each payout is a multiple.
STEPS_OF = {"eth": 10**13, "usdt": 10**4}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One payout as it is asked for: `single` of gchostpay, `staged` of gchostpay3."""

    way: str
    currency: str
    units: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that happens; which of the fields mean something follows from `do`."""

    do: str
    which: int = 0
    count: int = 0
    how: str = ""
    kill: int | None = None

    def __str__(self) -> str:
        more = [f"{name}={value}" for name in ("which", "count", "how", "kill") if (value := getattr(self, name))]
        return " ".join([self.do, *more])


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A whole case; the same seed makes the same one."""

    seed: int
    theme: str
    wishes: tuple[Wish, ...]
    steps: tuple[Step, ...]
    #: Whether operators replay at the end what has died.
    replayed: bool
    #: What the wallet has at first, in wei; it gets enough when everything is healed.
    funds: int
    #: What it has of USDT, likewise.
    tokens: int


def make(seed: int) -> Case:
    """Make the case of a seed; themes follow one another, so that any run of seeds has them all."""
    chance = random.Random(f"chain case {seed}")
    names = list(THEMES)
    theme = names[seed % len(names)]
    wishes = tuple(_wish(chance, 5000) for _ in range(chance.randint(1, 4)))
    weights = {do: weight * (EMPHASIS if do in THEMES[theme] else 1) for do, weight in WEIGHTS.items()}
    if theme == "robbed":
        weights["foreign"] = 3
    chosen = chance.choices(list(weights), list(weights.values()), k=chance.randint(8, 22))
    # Without a payout that is signed there is nothing to harm.
    steps = [Step(do="ask", which=place) for place in range(len(wishes)) if chance.random() < 0.7]
    steps += [MAKERS.get(do, _plain)(chance, do) for do in chosen]
    return Case(
        seed=seed,
        theme=theme,
        wishes=wishes,
        steps=tuple(_killed(chance, step, theme) for step in steps),
        replayed=chance.random() < 0.6,
        funds=10**18 if chance.random() < 0.9 else chance.randrange(2, 60) * 10**15,
        tokens=10**9 if chance.random() < 0.9 else chance.randrange(1, 60) * 10**6,
    )


def crowd(seed: int, size: int = 100, storms: int = 8) -> Case:
    """Make a crowd of payouts that are asked for at once, of payers that die, by a node that drops and delays."""
    chance = random.Random(f"crowd {seed}")
    wishes = tuple(_wish(chance, 900) for _ in range(size))
    steps: list[Step] = []
    for _ in range(storms):
        for kind in ("forgotten", "held", "cut after", "refused before"):
            steps.append(Step(do="lie", count=chance.randint(1, size // 10), how=f"eth_sendRawTransaction: {kind}"))
        steps.append(Step(do="storm", which=chance.randrange(2**16), count=2))
        more = chance.sample(("mine", "drop", "release", "older", "wait", "reorg"), k=2)
        steps += [MAKERS.get(do, _plain)(chance, do) for do in more if do not in ("wait", "reorg")]
        steps += [Step(do="wait", count=chance.choice((1, 5)))] if "wait" in more else []
        steps += [Step(do="reorg", which=chance.randrange(2**16), count=3, how="some")] if "reorg" in more else []
    return Case(
        seed=seed, theme="crowd", wishes=wishes, steps=tuple(steps), replayed=True, funds=10**19, tokens=10**10
    )  # fmt: skip


def _wish(chance: random.Random, most: int) -> Wish:
    way, currency = chance.choice(("single", "staged")), chance.choice(list(STEPS_OF))
    return Wish(way=way, currency=currency, units=chance.randrange(1, most) * STEPS_OF[currency])


def _killed(chance: random.Random, step: Step, theme: str) -> Step:
    often = 0.6 if theme == "killed" else 0.08
    if (
        step.do not in ("ask", "confirm", "sweep", "stuck", "bury", "abandon", "replay", "resume")
        or chance.random() > often
    ):
        return step
    return Step(do=step.do, which=step.which, count=step.count, how=step.how, kill=chance.randint(1, LAST_AWAIT))


def _plain(chance: random.Random, do: str) -> Step:
    return Step(do=do, which=chance.randrange(100))


def _sweep(chance: random.Random, do: str) -> Step:
    return Step(do=do, how=chance.choice(SERVICES))


def _mine(chance: random.Random, do: str) -> Step:
    return Step(do=do, count=chance.choice((1, 1, 1, 2, 3, 5, 12, 30, 66)))


def _wait(chance: random.Random, do: str) -> Step:
    return Step(do=do, count=chance.choice((1, 5, 12, 15, 40, 95, 95, 120, 3600, 90_000)))


def _reorg(chance: random.Random, do: str) -> Step:
    return Step(do=do, which=chance.randrange(2**16), count=chance.randint(1, DEEPEST), how=chance.choice(RETURNS))


def _spike(chance: random.Random, do: str) -> Step:
    return Step(do=do, count=chance.choice((5, 40, 150, 240, 480, 2000)))


def _lie(chance: random.Random, do: str) -> Step:
    method = chance.choice(list(LIES))
    kind = chance.choice(LIES[method])
    count = chance.choice((1, 1, 2, 5, 20))
    return Step(do=do, which=chance.randint(1, 4), count=1 if kind in ONCE else count, how=f"{method}: {kind}")


def _silence(chance: random.Random, do: str) -> Step:
    method = chance.choice([*LIES, "eth_sendRawTransaction", "eth_sendRawTransaction", "eth_chainId"])
    return Step(do=do, count=chance.choice((1, 1, 2, 5, 20)), how=f"{method}: {chance.choice(SILENCES)}")


#: How the fields of a step are chosen, where not simply one of what there is.
MAKERS: dict[str, Callable[[random.Random, str], Step]] = {
    "sweep": _sweep, "stuck": _sweep, "mine": _mine, "wait": _wait, "reorg": _reorg, "spike": _spike, "lie": _lie,
    "silence": _silence,
}  # fmt: skip
