"""The probe of a hop: a task that shows that the permissions of a queue have spread, and does nothing else.

Whoever starts paused queues (`sluice queues resume --probe`) forces such a task. That it arrives here, behind the
door's check, shows that the queue's account may call; its body is not read. Its header may name queues into which this
service then puts a probe of its own, which shows that it may create tasks there and act as their accounts. Those name
none, so that it ends. 204: all is well. 424: a task of ours was refused; the log has Cloud Tasks' own words.
"""

from __future__ import annotations

import asyncio
import re

from starlette.responses import JSONResponse, Response

from service_code.kit import logs
from service_code.kit.runtime import Kit
from service_code.kit.tasks import TaskError

#: `<id of the round>` or `<id of the round> <queue> <queue> ...`.
HEADER = "x-sluice-probe"
_RUN = re.compile(r"[a-z0-9]{1,40}")

_log = logs.get("probe")


def task_id(run: str, service: str) -> str:
    """Return the id of the task that a service puts into a queue in one round; who probes knows it, too."""
    return f"probe-{run}-{service}"


async def answer(kit: Kit, value: str) -> Response:
    """Answer a probe whose caller has been verified."""
    run, *queues = value.split()[:100] or [""]
    if not _RUN.fullmatch(run):
        return JSONResponse({"error": f"{HEADER} begins with letters and digits"}, 400)
    refused = {queue: why for queue, why in await asyncio.gather(*(_pass_on(kit, run, one) for one in queues)) if why}
    for queue, why in sorted(refused.items()):
        _log.warning("a probe was refused", what="probe_refused", status="refused", run=run, queue=queue, why=why)
    return JSONResponse({"refused": refused}, 424) if refused else Response(status_code=204)


async def _pass_on(kit: Kit, run: str, queue: str) -> tuple[str, str]:
    try:
        await kit.tasks.probe(queue, task_id(run, kit.settings.service), {HEADER: run})
    except TaskError as error:
        return queue, str(error)
    return queue, ""
