"""Sinks to Storage buckets: entries wait for the end of their hour and are written as objects, one a log and hour.

What waits lies in a file a sink, so that a kill loses none of it. Names are Google's:
`LOG_ID/2026/11/23/08:00:00_08:59:59_S0.json`, and `_A0.json` and on for what comes later for such an hour.
Source: https://cloud.google.com/logging/docs/export/storage.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

import orjson

from local_cloud.apis.storage.api import Storage, bucket_resource
from local_cloud.cloud import Cloud
from local_cloud.files import Incoming
from local_cloud.logs.exports import Exports, Way
from local_cloud.registry import Principal
from local_cloud.storage.checksums import Checksums
from local_cloud.storage.conditions import ANY
from local_cloud.storage.objects import Content
from local_cloud.storage.refusals import StorageError

HOUR = 3600
#: The ways that there are now, by sink.
Ways = Callable[[], Mapping[str, Way]]


class Archive:
    """All sinks to Storage."""

    def __init__(self, cloud: Cloud, exports: Exports, ways: Ways) -> None:
        self._cloud, self._exports, self._ways = cloud, exports, ways
        self._folder = cloud.settings.state / "logs" / "archive"
        self._buffers: dict[str, list[bytes]] = {}
        self._armed = False

    def start(self) -> None:
        """Goes on with what waited when the cloud stopped."""
        if any(self._folder.glob("*.jsonl")):
            self._arm()

    def add(self, sink: str, line: bytes) -> None:
        """One more entry of a sink."""
        if not self._buffers:
            asyncio.get_running_loop().call_soon(self.flush)
        self._buffers.setdefault(sink, []).append(line + b"\n")
        self._arm()

    def flush(self) -> None:
        """Append to the files what came since the last turn."""
        buffers, self._buffers = self._buffers, {}
        if buffers:
            self._folder.mkdir(parents=True, exist_ok=True)
        for sink, lines in buffers.items():
            with self._path(sink).open("ab") as file:
                file.write(b"".join(lines))

    def _path(self, sink: str) -> Path:
        return self._folder / f"{sink}.jsonl"

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._cloud.clock.call_at((self._cloud.now() // HOUR + 1) * HOUR, self._write_out)

    async def _write_out(self) -> None:
        self._armed = False
        self.flush()
        ways = self._ways()
        for path in sorted(self._folder.glob("*.jsonl")):
            lines = path.read_bytes().splitlines()
            path.unlink()  # what cannot be written is lost, as it is with Google
            if way := ways.get(path.stem):
                await self._write(way, lines)

    async def _write(self, way: Way, lines: list[bytes]) -> None:
        exports, bucket = self._exports, way.destination.partition("/")[2]
        allowed = self._cloud.iam.decide(
            Principal(way.writer), "storage.objects.create", bucket_resource(self._cloud, bucket)
        )
        if allowed.enforced and not allowed.granted:
            exports.fail(way, "bucket_permission_denied", allowed.text)
            return
        groups: dict[str, list[bytes]] = {}
        for line in lines:
            entry = orjson.loads(line)
            time = str(entry["timestamp"])
            day, hour = time[:10].replace("-", "/"), time[11:13]
            log = unquote(str(entry["logName"]).rpartition("/logs/")[2])
            groups.setdefault(f"{log}/{day}/{hour}:00:00_{hour}:59:59", []).append(line)
        for name, group in groups.items():
            try:
                await self._insert(bucket, name, b"\n".join(group) + b"\n")
            except StorageError as error:
                missing = error.status == 404
                exports.fail(way, "bucket_not_found" if missing else "bucket_error", error.text)
            else:
                exports.sent(way, len(group), sum(map(len, group)))

    async def _insert(self, bucket: str, name: str, data: bytes) -> None:
        storage = self._cloud.use(Storage)
        storage.buckets.get(bucket)
        objects, sums = storage.objects, Checksums()
        sums.update(data)
        incoming = Incoming(objects.folder)
        await incoming.write(data)
        file = objects.new_file()
        await incoming.keep(objects.path(file))
        content = Content(file=file, size=len(data), crc32c=sums.crc32c, md5=sums.md5)
        free, number = f"{name}_S0.json", 0
        while objects.find(bucket, free) is not None:
            free, number = f"{name}_A{number}.json", number + 1
        try:
            objects.insert(bucket, free, content, {"contentType": "application/json"}, ANY)
        except StorageError:
            objects.discard(content)
            raise
