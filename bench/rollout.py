"""Bad revisions rolled out under load: each is found out and taken back by itself, no payment is lost or paid twice.

One fault after the other (FAULTS) at one share after the other (STEPS), PAYMENTS payments in all for each fault, half
of them paid at once and half in stages, RATE a second (at 100 % some are paid before it, for gates to compare with);
then the same with 100 tasks queued on the bad revision for later, with tasks that wait for longer than their tokens
live, with metrics three minutes late, and at 20 payments an hour; at last a good revision and an idle service. After
each, payments are settled on a moved clock, the dead are replayed, the judge (tests/payments/judge.py) recomputes
every account, and a preview must show no change. Each trial's figures are a line; `OUT` names a file that they are
appended to, and trials that stand in it are not played again. A whole run takes more than an hour.

    .venv/bin/python -m bench.rollout --fault raises --step 10 --payments 300
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import _rollout_special as special
from bench._measure import NotKeptError
from bench._rollout_revisions import Bad
from bench._rollout_trial import Trial, bad_rollout
from tests.payments.stack import Stack

STEPS = tuple(int(step) for step in os.environ.get("STEPS", "10,25,50,75,90,100").split(","))
PAYMENTS = int(os.environ.get("PAYMENTS", "2000"))
RATE = float(os.environ.get("RATE", "8"))
OUT = os.environ.get("OUT", "")

#: What is played at each step.
FAULTS = {
    "raises": Bad(kind="raises"),
    "raises-half": Bad(kind="raises", share=0.5),
    "slow": Bad(kind="slow"),
    "leaks_tokens": Bad(kind="leaks_tokens"),
    "no_effect": Bad(kind="no_effect"),
    "no_effect-split": Bad(kind="no_effect", service="gcsplit"),
    "no_effect-staged": Bad(kind="no_effect", service="gchostpay3"),
}
#: What is played once.
SPECIAL: dict[str, Callable[..., Trial]] = {
    "queued-for-later": special.queued_for_later,
    "late-tokens": special.late_tokens,
    "metric-lag": special.metric_lag,
    "twenty-an-hour": special.twenty_an_hour,
    "good": special.good,
    "idle": special.idle,
}


@dataclass(frozen=True)
class Case:
    """One trial by its name."""

    name: str
    play: Callable[..., Trial]


def cases(faults: list[str], steps: list[int], payments: int, rate: float) -> Iterator[Case]:
    """All trials that were asked for."""
    for fault in faults:
        if fault in SPECIAL:
            yield Case(fault, partial(SPECIAL[fault], rate=rate))
            continue
        for step in steps:
            each = max(1, payments // len(STEPS))
            play = partial(bad_rollout, bad=FAULTS[fault], step=step, payments=each, rate=rate)
            yield Case(f"{fault}@{step}", play)


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """All of it."""
    return played(list(cases([*FAULTS, *SPECIAL], list(STEPS), PAYMENTS, RATE)), say, Path(OUT) if OUT else None)


def played(wanted: list[Case], say: Callable[[str], None], out: Path | None = None) -> dict[str, Any]:
    """Play what is not in the file yet, on one stack; NotKeptError where a promise was not kept."""
    found = _read(out)
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "home")
        left = [case for case in wanted if case.name not in found]
        try:
            if left:
                stack.up()
            for case in left:
                found[case.name] = case.play(stack, say=say).as_json()
                if out is not None:
                    with out.open("a") as file:
                        file.write(json.dumps({case.name: found[case.name]}) + "\n")
        finally:
            stack.sluice("down", check=False)
    figures = {case.name: found[case.name] for case in wanted}
    wrong = {name: one["wrong"] for name, one in figures.items() if one["wrong"]}
    result = {"trials": figures, "wrong": wrong, "load_average": round(os.getloadavg()[0], 1)}
    if wrong:
        raise NotKeptError(f"not as promised: {', '.join(wrong)}", result)
    return result


def _read(out: Path | None) -> dict[str, Any]:
    """The trials that a file has; of several of one name the last."""
    found: dict[str, Any] = {}
    if out is not None and out.exists():
        for line in out.read_text().splitlines():
            found |= json.loads(line)
    return found


def main() -> int:
    """Some of it."""
    parser = argparse.ArgumentParser(description="Roll bad revisions out under load.")
    parser.add_argument("--fault", action="append", choices=[*FAULTS, *SPECIAL], help="of several, give it again")
    parser.add_argument("--step", action="append", type=int, help="the share at which it is tried")
    parser.add_argument("--payments", type=int, default=PAYMENTS, help="of one fault at all steps")
    parser.add_argument("--rate", type=float, default=RATE, help="payments a second")
    parser.add_argument("--out", type=Path, help="append to it, and leave out what stands there")
    given = parser.parse_args()
    wanted = list(cases(given.fault or [*FAULTS, *SPECIAL], given.step or list(STEPS), given.payments, given.rate))
    try:
        print(json.dumps(played(wanted, lambda line: print(line, flush=True), given.out), indent=1))
    except NotKeptError as error:
        print(json.dumps(error.figures, indent=1))
        print(f"NOT KEPT  {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
