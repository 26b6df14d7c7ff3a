"""What a running service holds: clock, outside, database, tasks and outbox, opened and closed with the application."""

from __future__ import annotations

from collections.abc import Mapping

from service_code.kit.access import Access, GoogleAccess
from service_code.kit.breaker import Breakers
from service_code.kit.clock import Clock, open_clock
from service_code.kit.db import POOL_SIZE, Database
from service_code.kit.direct import Direct
from service_code.kit.outbox import Minter, Outbox
from service_code.kit.outside import Outside
from service_code.kit.publications import Publications
from service_code.kit.record import RolloutRecord
from service_code.kit.releases import Releases
from service_code.kit.routes import Routes
from service_code.kit.settings import Settings
from service_code.kit.tasks import Tasks
from service_code.kit.topics import Topics


class Kit:
    """The kit's parts, wired by the settings; nothing is reached before `open`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        access: Access | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or open_clock(settings.endpoints.clock)
        self.access = access or GoogleAccess(self.clock)
        self.outside = outside or Outside()
        self.record = RolloutRecord(
            settings.endpoints.storage, settings.rollout_bucket, self.outside, self.access, self.clock
        )
        self.routes = Routes(settings.routes, self.record)
        self.releases = Releases(settings, self.record)
        #: A service without a database: it may not write, and has no outbox.
        self.stateless = not settings.database_url
        self.db = Database(
            settings.database_url, self.access, settings.service, settings.number("DATABASE_POOL", POOL_SIZE)
        )
        self.tasks = Tasks(settings.endpoints.cloud_tasks, settings.queues, self.outside, self.access)
        self.breakers = Breakers(settings.queues.values(), self.outside, self.access, self.clock)
        self.minters: dict[str, Minter] = {}
        self.outbox = Outbox(
            settings.service,
            self.db,
            self.clock,
            self.minters,
            tasks=self.tasks,
            direct=Direct(settings, self.outside, self.access),
            routes=self.routes,
            releases=self.releases,
            breakers=self.breakers,
        )
        self.topics = Topics(settings.endpoints.pubsub, settings.topics, self.outside, self.access)
        self.publications = Publications(settings.service, self.db, self.topics, self.clock)

    def mint(self, minters: Mapping[str, Minter]) -> None:
        """Take the service's minters of short-lived tokens."""
        self.minters.update(minters)

    async def open(self) -> None:
        """Open the outside and the database."""
        await self.outside.open()
        if not self.stateless:
            await self.db.open()

    async def close(self) -> None:
        """Close what was opened."""
        await self.db.close()
        await self.outside.close()
