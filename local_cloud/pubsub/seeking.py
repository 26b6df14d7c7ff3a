"""Seeking to a time: which messages of a topic are open again to a subscription.

A filter needs the attributes, which are in the log: so it waits until all that was published before is on disk, and
reads in slices, between which the loop does other things. The marks that come of it are set at once, by state.py.
"""

import asyncio
from collections.abc import Callable

from local_cloud.pubsub.holders import Holder
from local_cloud.pubsub.log import Log
from local_cloud.pubsub.marks import Marks
from local_cloud.pubsub.topic_log import Entry

#: Messages that are read in one turn of the loop.
SLICE = 250


async def marks_since(log: Log, holder: Holder, when: float, fits: Callable[[Entry], bool]) -> Marks:
    """The marks of who is done with what was published before a time, and with what its filter does not match."""
    topic, known = holder.topic, holder.topic.end
    marks = Marks(topic.since(when))
    await log.committed()
    if holder.match is not None:
        number = topic.next(marks.floor, known)
        read = 0
        while number < known:
            entry = topic.get(number)
            assert entry is not None
            if not fits(entry):
                marks.add(number)
            read += 1
            if read % SLICE == 0:
                await asyncio.sleep(0)
            number = topic.next(number + 1, known)
        for entry in topic.entries(known, topic.end):  # came meanwhile: matched when it was published
            if entry.number in holder.marks:
                marks.add(entry.number)
    marks.raise_floor(topic.since(when))
    return marks
