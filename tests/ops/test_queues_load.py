"""The verbs of queues together while tasks keep coming and two operators are at it: no task is lost.

The receiver refuses every fifth delivery. How often a task comes is not counted: services do its effect once, which
tests/payments/test_operators_under_load.py judges by the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from ops import app
from tests.ops.hands import PAYING, RETRYING, Hands, at_hand, stack

__all__ = ["at_hand", "stack"]

#: Tasks in all; verbs of each operator.
TASKS, ROUNDS = 40, 2


def test_pause_run_move_purge_and_restore_by_two_at_once_lose_nothing(at_hand: Hands, tmp_path: Path) -> None:
    ids, codes = at_hand.names(TASKS), list[int]()
    at_hand.receiver.answers = [*islice(cycle([500, 200, 200, 200, 200]), 10 * TASKS), 200]
    for queue in (PAYING, RETRYING):
        at_hand.steer(queue, "resume")

    def sender() -> None:
        for number, one in enumerate(ids):
            at_hand.put((PAYING, RETRYING)[number % 2], one, tag="canary" if number % 3 else "")

    def operator(who: int) -> Callable[[], None]:
        def work() -> None:
            for turn in range(ROUNDS):
                file = tmp_path / f"{who}-{turn}"
                for words in (
                    ("pause", PAYING),
                    ("run", RETRYING, "--all"),
                    ("move", RETRYING, PAYING),
                    ("move", PAYING, "--to-side", "stable"),
                    ("purge", PAYING, "--export", str(file)),
                    ("resume", PAYING),
                ):
                    codes.append(app.main(["queues", *words, "--yes"]))
                if file.exists():
                    codes.append(app.main(["queues", "restore", PAYING, str(file), "--yes"]))

        return work

    works = [threading.Thread(target=work) for work in (sender, operator(1), operator(2))]
    for work in works:
        work.start()
    for work in works:
        work.join()
    assert set(codes) == {0}
    app.main(["queues", "resume", PAYING, "--yes"])
    while at_hand.waiting(PAYING) or at_hand.waiting(RETRYING):
        at_hand.idle()
        at_hand.advance(3700)  # past any wait between two attempts
    at_hand.idle()
    assert {name.split("-moved")[0] for name in at_hand.delivered()} == set(ids)
