"""Long work over arrays in turns: what is left after a while is done in the next turns of the loop."""

import asyncio
from collections.abc import Iterator
from itertools import islice

#: Steps of one turn; a step is a piece of a topic (topic_log.py), of 512 messages.
STEPS = 16


def in_turns(work: Iterator[None]) -> None:
    """Does some steps of it now, and sees to the rest."""
    if sum(1 for _ in islice(work, STEPS)) == STEPS:
        asyncio.get_running_loop().call_soon(in_turns, work)
