"""`sluice resend`, given twice at once: together they send each payment once, and neither says that it failed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ops.resend import Resend
from tests.service_code.conftest import Chain
from tests.service_code.resent import Start, resending
from tests.service_code.world import World

ORDER, TRIGGER = "hostpay-execution-queue", "gcsplit-hostpay-trigger-queue"


@pytest.fixture
async def start(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Start]:
    async with resending(world, monkeypatch, capsys) as found:
        yield found


async def test_two_at_once_send_each_payment_once_and_neither_says_that_it_was_refused(
    world: World, chain: Chain, start: Start, sql: Any
) -> None:
    town = await start("gcwebhook", "gcsplit2", "gchostpay", "gchostpay1")
    lost = [await town.lose(TRIGGER)]
    await town.split("single")
    lost += [await town.lose(ORDER) for _ in range(3)]
    world.clock.at += 5
    both: list[Any] = [Resend(town.here), Resend(town.here)]  # type: ignore[arg-type]
    listed = [await asyncio.to_thread(list, one.listed(0, "")) for one in both]
    assert [len(rows) for rows in listed] == [len(lost)] * 2
    await asyncio.gather(
        *(
            asyncio.to_thread(one.each, rows, "", rate=1000.0, told=lambda _result: None)
            for one, rows in zip(both, listed, strict=True)
        )
    )
    said = [result for one in both for result in one.results]
    assert not any(result.refused for result in said), said
    assert Counter(result.status for result in said) == {"resent": len(lost), "already_resent": len(lost)}
    assert sorted(task.queue for task in world.outer.tasks) == [TRIGGER] + [ORDER] * 3
    assert await sql.fetchval("SELECT count(*) FROM operator_actions WHERE verb = 'resend'") == len(lost)
