"""Work on many tasks at a bounded rate: so many begun a second, a few at once, and counted as they end.

What is counted is what was done, also where the work is cut short: an audit entry tells it then. The first refusal ends
it; what had begun is waited for.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ops.errors import BadUsage, OpsError

#: Calls under way at once.
AT_ONCE = 8
#: What waits between two begins; tests have none of it.
pause = time.sleep

T = TypeVar("T")

_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|m)")


def per_second(rate: str) -> float:
    """`5/s` or `30/m` as a number a second."""
    found = _RATE.fullmatch(rate.strip())
    number = float(found[1]) / (60 if found[2] == "m" else 1) if found else 0.0
    if number <= 0:
        raise BadUsage(f"--rate is {rate}", fix="write it as 5/s or 30/m")
    return number


def each(work: Callable[[T], str], items: Iterable[T], *, rate: float, counts: Counter[str]) -> None:
    """Do the work with each item; what it answers is counted in `counts`."""
    turn, room, failed = threading.Lock(), threading.Semaphore(AT_ONCE), list[BaseException]()

    def one(item: T) -> None:
        try:
            done = work(item)
            with turn:
                counts[done] += 1
        except OpsError as error:
            failed.append(error)
        finally:
            room.release()

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tasks") as pool:
        for number, item in enumerate(items):
            if number:
                pause(1 / rate)
            room.acquire()
            if failed:
                break
            pool.submit(one, item)
    if failed:
        raise failed[0]
