"""The lag of metrics can be turned while the cloud runs; points are then seen late by everybody who reads them."""

from pathlib import Path
from typing import Any

import aiohttp

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest


@pins(
    "monitoring",
    "Metrics",
    "The lag of up to 3 minutes can be turned at run time (/_sluice/metrics/lag), lasts, is in the status",
    documented="latency of metric data: up to 3 minutes of Cloud Run; the setting is ours",
)
async def test_the_lag_can_be_turned_and_lasts(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async def lag(settings: Settings, turn: float | None = None) -> tuple[float, float]:
        async with Running(settings) as running:
            rest = Rest(session, f"http://127.0.0.1:{running.cloud.ports['rest']}")
            if turn is not None:
                assert await rest.ok("POST", "/_sluice/metrics/lag", {"seconds": turn}) == {"lag": turn}
                wrongs: list[Any] = [{"seconds": 181}, {"seconds": -1}, {"seconds": True}, {}, []]
                for wrong in wrongs:
                    assert (await rest("POST", "/_sluice/metrics/lag", wrong))[0] == 400
            told = await rest.ok("GET", "/_sluice/status")
            return (await rest.ok("GET", "/_sluice/metrics"))["lag"], told["metrics"]["lag"]

    state = tmp_path / "cloud"
    assert await lag(Settings(state=state), 120) == (120, 120)
    assert await lag(Settings(state=state)) == (120, 120)
    assert await lag(Settings(state=state, metric_lag=60.0)) == (60, 60)


async def test_points_are_seen_late_from_then_on(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async with Running(Settings(state=tmp_path / "cloud")) as running:
        cloud = running.cloud
        rest = Rest(session, f"http://127.0.0.1:{cloud.ports['rest']}")
        home = "/v2/projects/sluice-local/locations/us-central1/queues"
        await rest.ok("POST", home, {"name": f"{home.removeprefix('/v2/')}/late"})

        async def points() -> int:
            from local_cloud.apis.admin import rfc3339

            query = (
                "filter=metric.type%3D%22cloudtasks.googleapis.com/queue/depth%22"
                f"&interval.startTime={rfc3339(cloud.now() - 3600)}&interval.endTime={rfc3339(cloud.now())}"
            )
            found = await rest.ok("GET", f"/v3/projects/sluice-local/timeSeries?{query}")
            return sum(len(one["points"]) for one in found.get("timeSeries", []))

        await cloud.clock.advance(600)
        seen = await points()
        await rest.ok("POST", "/_sluice/metrics/lag", {"seconds": 180})
        assert await points() == seen - 3
        await cloud.clock.advance(180)
        assert await points() == seen
