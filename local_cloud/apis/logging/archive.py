"""Sinks to Storage buckets: entries wait for the end of their hour and are written as objects, one a log and hour.

What waits lies in a file a sink. At the hour's end the file is set aside, its objects and the note that they are made
are one transaction, and then it goes: a kill loses nothing of it and doubles nothing; what it left is taken up at the
start. Reading and parsing is a thread's work. Names are Google's: `LOG_ID/2026/11/23/08:00:00_08:59:59_S0.json`, and
`_A0.json` and on for what comes later for such an hour.
Source: https://cloud.google.com/logging/docs/export/storage.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import orjson

from local_cloud.apis.storage.api import Storage, bucket_resource
from local_cloud.cloud import Cloud
from local_cloud.files import Incoming, end_last_line
from local_cloud.logs.exports import Exports, Way
from local_cloud.registry import Principal
from local_cloud.storage.checksums import Checksums
from local_cloud.storage.conditions import ANY
from local_cloud.storage.objects import Content
from local_cloud.storage.refusals import StorageError

HOUR = 3600
#: Seconds after the start at which files that were set aside are taken up: Storage must have started too.
RESUME = 1.0
#: The ways that there are now, by sink.
Ways = Callable[[], Mapping[str, Way]]


@dataclass(slots=True)
class Batch:
    """One object to be: its lines, and their sums."""

    lines: list[bytes] = field(default_factory=list)
    data: bytes = b""
    sums: Checksums = field(default_factory=Checksums)


class Archive:
    """All sinks to Storage."""

    def __init__(self, cloud: Cloud, exports: Exports, ways: Ways) -> None:
        self._cloud, self._exports, self._ways = cloud, exports, ways
        self._folder = cloud.settings.state / "logs" / "archive"
        self._buffers: dict[str, list[bytes]] = {}
        #: Files that were set aside and whose objects are made.
        self._made = cloud.store.json("logs.archived")
        self._writing = asyncio.Lock()
        self._armed = False

    def start(self) -> None:
        """Goes on with what waited when the cloud stopped."""
        for path in self._folder.glob("*.jsonl"):
            self._arm()
            end_last_line(path)
        left = {path.name for path in self._folder.glob("*.aside")}
        if left:
            self._cloud.clock.call_later(RESUME, self._take_up)
        for name in [name for name in self._made if name not in left]:
            self._made.pop(name)

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
        for path in self._folder.glob("*.jsonl"):
            path.rename(path.with_name(f"{path.stem}.{time.time_ns()}.aside"))
        await self._take_up()

    async def _take_up(self) -> None:
        """Makes objects of the files that were set aside."""
        async with self._writing:
            for path in sorted(self._folder.glob("*.aside")):
                if path.name not in self._made:
                    if way := self._ways().get(path.stem.rpartition(".")[0]):
                        await self._write(way, path)
                    self._made[path.name] = True  # what cannot be written is lost, as it is with Google
                await self._cloud.store.committed()
                path.unlink()
                self._made.pop(path.name)

    async def _write(self, way: Way, path: Path) -> None:
        """Makes the objects of a file; they are marked in the last turn of the loop, with nothing awaited after it."""
        exports, bucket = self._exports, way.destination.partition("/")[2]
        allowed = self._cloud.iam.decide(
            Principal(way.writer), "storage.objects.create", bucket_resource(self._cloud, bucket)
        )
        if allowed.enforced and not allowed.granted:
            exports.fail(way, "bucket_permission_denied", allowed.text)
            return
        batches = await asyncio.to_thread(_batches, path)
        contents = [await self._content(batch) for batch in batches.values()]
        for (name, batch), content in zip(batches.items(), contents, strict=True):
            try:
                self._insert(bucket, name, content)
            except StorageError as error:
                self._cloud.use(Storage).objects.discard(content)
                missing = error.status == 404
                exports.fail(way, "bucket_not_found" if missing else "bucket_error", error.text)
            else:
                exports.sent(way, len(batch.lines), sum(map(len, batch.lines)))

    async def _content(self, batch: Batch) -> Content:
        objects = self._cloud.use(Storage).objects
        incoming = Incoming(objects.folder)
        await incoming.write(batch.data)
        file = objects.new_file()
        await incoming.keep(objects.path(file))
        return Content(file=file, size=len(batch.data), crc32c=batch.sums.crc32c, md5=batch.sums.md5)

    def _insert(self, bucket: str, name: str, content: Content) -> None:
        storage = self._cloud.use(Storage)
        storage.buckets.get(bucket)
        free, number = f"{name}_S0.json", 0
        while storage.objects.find(bucket, free) is not None:
            free, number = f"{name}_A{number}.json", number + 1
        storage.objects.insert(bucket, free, content, {"contentType": "application/json"}, ANY)


def _batches(path: Path) -> dict[str, Batch]:
    """The objects that the lines of a file are for, by name; the line that a kill has torn is in none."""
    batches: dict[str, Batch] = {}
    for line in path.read_bytes().splitlines():
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        moment = str(entry["timestamp"])
        day, hour = moment[:10].replace("-", "/"), moment[11:13]
        log = unquote(str(entry["logName"]).rpartition("/logs/")[2])
        batches.setdefault(f"{log}/{day}/{hour}:00:00_{hour}:59:59", Batch()).lines.append(line)
    for batch in batches.values():
        batch.data = b"\n".join(batch.lines) + b"\n"
        batch.sums.update(batch.data)
    return batches
