"""What the exchange refuses of a threshold's: services in a test's loop, and `sluice dead`, `resend`, `reconcile`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from ops.errors import CallFailed
from ops.reconcile import payments
from ops.reconcile.found import Finding, Found
from ops.reconcile.helps import Helps
from tests.service_code import gathering
from tests.service_code.dead_here import Command
from tests.service_code.gathering import BATCH
from tests.service_code.resent import Resent, resending
from tests.service_code.world import World


@dataclass
class Desk:
    """The services, and both commands."""

    town: Resent
    dead: Command

    async def gathered(self, *, until: str) -> list[str]:
        """Two payments of one client, worth a batch; their messages for a queue come to nothing."""
        ids = [await self.town.pay(name, channel_id=gathering.CHANNEL) for name in ("one", "two")]
        await self.town.deliver(but=(until, "channel-access-queue"))
        await self.town.running["gcwebhook"].kit.db.fetch(
            "UPDATE channel_access SET granted_at = queued_at WHERE unique_id = ANY($1)", ids
        )
        return ids

    async def batch(self, refusal: str = "pair_is_inactive") -> tuple[str, list[str]]:
        """A batch that the exchange refuses, and its payments."""
        ids = await self.gathered(until=BATCH)
        self.refuses(refusal)
        await self.sweep(60)
        (row,) = await self.town.running["gcsplit"].kit.db.fetch("SELECT batch_id, status FROM payout_batches")
        assert row["status"] == "refused"
        return row["batch_id"], ids

    def refuses(self, refusal: str, status: int | None = 400) -> None:
        self.town.world.outer.changenow_status, self.town.world.outer.changenow_refusal = status, refusal

    def well(self) -> None:
        self.refuses("", None)

    async def sweep(self, seconds: float) -> None:
        self.town.world.clock.at += seconds
        await self.town.running["gcbatchprocessor"].sweep()

    async def found(self) -> list[Finding]:
        """What `sluice reconcile` names of payments."""

        def tasks(path: str) -> Any:
            raise CallFailed(path, status=404)

        here = self.dead.here
        reach: Any = SimpleNamespace(
            call=lambda service, path: here.call("GET", service, path), tasks=tasks, location="l", helps=Helps()
        )
        found = Found()
        await asyncio.to_thread(payments.look_at_payments, reach, found, "")
        return found.findings


@asynccontextmanager
async def refusing(
    world: World, monkeypatch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]
) -> AsyncIterator[Desk]:
    """Services of all flows, and the commands."""
    async with resending(world, monkeypatch, printed) as start:
        town = await start()
        yield Desk(town, Command(town.here, printed))
