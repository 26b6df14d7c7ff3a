"""Which revision of a receiver a message goes to while a release of it is tried: the canary's tag, or the base URL.

A payment is pinned to one side of a release when it is first sent there, in the transaction that writes the message:
to the revision that is tried where its place is within the share, else, or where it has met the receiver before, to
whatever is stable. A pin is never changed; one to a revision that is no longer tried means stable. So a payment meets a
second revision by promotion or rollback alone. Whoever takes a payment in at a public door pins it to himself; a sender
without a database goes by the pins that came with the message (`HEADER`). Without a release in the record none of this
costs a statement. Source: DESIGN section 5; docs/adr/release-canary.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from service_code.kit.db import Connection
from service_code.kit.record import REVISION, Release, RolloutRecord
from service_code.kit.routes import takes_new_way
from service_code.kit.settings import QueueEdge, Settings

#: A pin to whatever has the role; no revision is called so.
STABLE = "stable"
#: `service=revision,service=revision`: what whom a receiver without a database sends to is pinned to.
HEADER = "X-Sluice-Pins"
#: More is no header of ours.
LONGEST_HEADER, MOST_PINS = 2_000, 20

#: A payment's pins: service -> revision.
Pins = Mapping[str, str]

_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,48}")


def choose(release: Release, key: str) -> str:
    """The side of a payment that a release meets for the first time."""
    return release.canary if takes_new_way(release.salt, key, release.percent) else STABLE


def goes_to_canary(receiver: str | None, pins: Pins, releases: Mapping[str, Release]) -> bool:
    """Tell whether a message goes to the revision that is tried: only what is pinned to this very one."""
    release = releases.get(receiver or "")
    return release is not None and pins.get(receiver or "") == release.canary


def encode(pins: Pins) -> str:
    """Return the header of these pins; nothing where there are none."""
    return ",".join(f"{service}={revision}" for service, revision in sorted(pins.items())[:MOST_PINS])


def decode(header: str) -> dict[str, str]:
    """Read a header's pins; what means nothing is passed over, and the first word for a service counts."""
    pins: dict[str, str] = {}
    for pair in header[:LONGEST_HEADER].split(",")[:MOST_PINS]:
        service, _, revision = pair.strip().partition("=")
        if _SERVICE.fullmatch(service) and REVISION.fullmatch(revision):
            pins.setdefault(service, revision)
    return pins


class Releases:
    """The releases of the receivers of one service, and of itself."""

    def __init__(self, settings: Settings, record: RolloutRecord) -> None:
        self._service = settings.service
        self._revision = settings.revision
        self._queues = settings.queues
        self._record = record

    async def to_canary(self, queue: str, pins: Pins) -> bool:
        """Tell whether a message of these pins goes to the revision that is tried now."""
        edge = self._queues.get(queue)
        if not pins or edge is None or edge.canary_url is None:
            return False
        return goes_to_canary(edge.receiver, pins, (await self._record.latest()).releases)

    def handed_on(self, queue: str, pins: Pins) -> str:
        """The header by which a receiver without a database learns the pins of whom it sends to."""
        edge = self._queues.get(queue)
        others = set(edge.meets) - {edge.receiver} if edge else set[str]()
        return encode({service: pins[service] for service in others & pins.keys()})

    async def pin(
        self, connection: Connection, sends: Sequence[tuple[str, str]], at: datetime, *, taken_in: bool
    ) -> list[dict[str, str]]:
        """Pin payments, given as (queue, unique_id), in the caller's transaction; returns the pins of each send.

        `taken_in`: they came in at our own public door, so that this revision has met them.
        """
        releases = (await self._record.latest()).releases
        if not releases:
            return [{} for _ in sends]
        met = [self._met(queue, releases) for queue, _ in sends]
        queues = {service: names for one in met for service, names in one.items()}
        wishes = {
            (unique_id, service): choose(releases[service], unique_id)
            for one, (_, unique_id) in zip(met, sends, strict=True)
            for service in one
        }
        if taken_in and self._service in releases:
            wishes |= {(unique_id, self._service): self._revision for _, unique_id in sends}
        pins = await self._write(connection, wishes, queues, at) if wishes else {}
        return [
            {service: pins[unique_id, service] for service in one}
            for one, (_, unique_id) in zip(met, sends, strict=True)
        ]

    def _met(self, queue: str, releases: Mapping[str, Release]) -> dict[str, Sequence[str]]:
        """Whom a message in a queue meets with a release that is tried, and the queues into each."""
        edge: QueueEdge | None = self._queues.get(queue)
        return {service: edge.meets[service] for service in edge.meets if service in releases} if edge else {}

    async def _write(
        self,
        connection: Connection,
        wishes: Mapping[tuple[str, str], str],
        queues: Mapping[str, Sequence[str]],
        at: datetime,
    ) -> dict[tuple[str, str], str]:
        """Write the pins that are new, and read those that are not; in one order, so that no two writers wait."""
        keys = sorted(wishes)
        known = await connection.fetch(
            """
            INSERT INTO release_pins (unique_id, service, revision, pinned_by, pinned_at)
            SELECT unique_id, service,
                CASE WHEN revision <> $7 AND payment_met(unique_id, string_to_array(queues, ',')) THEN $7
                     ELSE revision END, $5, $6
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS new (unique_id, service, revision, queues)
            ORDER BY unique_id, service
            ON CONFLICT (unique_id, service) DO NOTHING RETURNING unique_id, service, revision
            """,
            [unique_id for unique_id, _ in keys],
            [service for _, service in keys],
            [wishes[key] for key in keys],
            [",".join(queues.get(service, ())) for _, service in keys],
            *(self._service, at, STABLE),
        )
        pins = {(row["unique_id"], row["service"]): row["revision"] for row in known}
        if len(pins) < len(keys):
            known = await connection.fetch(
                """
                SELECT unique_id, service, revision FROM release_pins
                WHERE (unique_id, service) IN (SELECT * FROM unnest($1::text[], $2::text[]))
                """,
                [unique_id for unique_id, _ in keys],
                [service for _, service in keys],
            )
            pins |= {(row["unique_id"], row["service"]): row["revision"] for row in known}
        return pins
