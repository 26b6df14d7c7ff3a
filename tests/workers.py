"""Which worker of a parallel run takes which tests: `-p tests.workers`, as `make test` asks.

A whole stack waits most of its time, for a chain, for dispatch, for a queue's next attempt, while small tests take a
core. So half of the workers begin with the long units, longest first, and the others with the small ones: neither do
the stacks wait for each other, nor does one worker do them alone at the end. Tests that share what is dear to make are
one unit, since a second worker would make it a second time.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

#: Rooms and files whose tests share a stack, or their plans, and the unit's name.
TOGETHER = {
    "tests/payments/test_crashes.py": "the second stack of payments",
    "tests/payments/test_down_and_up.py": "the second stack of payments",
    "tests/payments/test_paynow.py": "the second stack of payments",
    "tests/payments/test_window.py": "the second stack of payments",
    "tests/rollout": "the operated stack",
    "tests/runbook": "the operated stack",
    "tests/payments": "the stack of payments",
    "tests/components": "the plans of components",
}
#: Files of those rooms that make stacks of their own.
APART = ("tests/payments/test_mixed.py",)
#: The long units, longest first.
LONG = (
    "the stack of payments",
    "the operated stack",
    "the second stack of payments",
    *APART,
    "tests/sandbox/test_chain.py",
    "tests/stacks/test_ci.py",
    "tests/stacks/test_apply.py",
    "tests/stacks/test_everything.py",
    "tests/service_code/test_pay.py",
    "the plans of components",
)


def unit(nodeid: str) -> str:
    """What a test belongs to: a unit's tests are run by one worker, one after the other."""
    file = nodeid.partition("::")[0]
    if file in APART:
        return file
    return TOGETHER.get(file) or TOGETHER.get(str(PurePosixPath(file).parent), file)


class LongBesideSmall(LoadScopeScheduling):  # type: ignore[misc]  # xdist says no types
    """Half of the workers prefer long units, the others small ones; whoever finds none of his own takes the other's."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        prefers_long = int(node.gateway.id.removeprefix("gw")) < max(1, self.numnodes // 2)
        long = [name for name in LONG if name in self.workqueue]
        small = [name for name in self.workqueue if name not in LONG]  # those of many tests first
        first, second = (long, small) if prefers_long else (small, long)
        self.workqueue.move_to_end((first or second)[0], last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongBesideSmall:
    return LongBesideSmall(config, log)
