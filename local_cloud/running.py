"""A cloud with its doors open, as an async context: what the process and in-process tests share."""

from types import TracebackType

from local_cloud.cloud import Cloud
from local_cloud.registry import Api
from local_cloud.server.doors import Doors
from local_cloud.settings import Settings


class Running:
    """`async with Running(settings) as running: running.cloud ...`. Leaving it writes what is left."""

    def __init__(self, settings: Settings, apis: list[Api] | None = None) -> None:
        self.cloud = Cloud(settings, apis)
        self.doors = Doors(self.cloud)

    async def __aenter__(self) -> "Running":
        try:
            await self.doors.open()
        except BaseException:
            await self.cloud.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.doors.close()
        await self.cloud.stop()
