"""An audit trail that cannot be written fails no call, and is whole again when it can be."""

import asyncio
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.iam import trail
from tests.local_cloud.conftest import Rest


async def test_a_trail_that_cannot_be_written_fails_no_call(cloud: Cloud, rest: Rest, monkeypatch: Any) -> None:
    monkeypatch.setattr(trail, "MAX_WAITING", 1)  # every decision is written as it is made
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["message"]))
    path = cloud.iam.trail.path
    path.unlink(missing_ok=True)
    path.mkdir()
    asked = f"/v2/projects/{cloud.project}/locations/{cloud.location}/queues"
    for _ in range(3):
        await rest.ok("GET", asked)
    assert len(reported) == 1
    assert "iam-decisions.jsonl cannot be written (Is a directory)" in reported[0]
    path.rmdir()
    await rest.ok("GET", asked)
    assert [one["permission"] for one in cloud.iam.trail.last(1)] == ["cloudtasks.queues.list"]
