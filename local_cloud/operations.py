"""Long-running operations: begun by any API, kept, polled over google.longrunning and REST.

An operation is named below its parent (`projects/P/locations/L/operations/ID`, or `operations/ID` where the API has
no parent for them). Work here is quick, so most operations are done when they are answered; who needs time finishes
one later, and `wait` holds its caller until then. Finished operations are kept for OPERATION_SECONDS of the cloud's
clock, and no more than MOST_FINISHED of them with MOST_BYTES.
"""

import asyncio
import secrets
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, not_found

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Seconds of the cloud's clock that a caller without a timeout of its own waits.
WAIT_SECONDS = 300.0

#: Cloud Run keeps operations for about 5 days; one rule for all.
OPERATION_SECONDS = 5 * 86400
#: More finished ones than this, or with more bytes, are not kept, however young: a batch's operation holds all of its
#: tasks. The last one is kept whatever its size.
MOST_FINISHED, MOST_BYTES = 1000, 64 * 1024 * 1024

KIND = "google.longrunning.Operation"


class Operations:
    """Every operation of the project."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self._kept = cloud.store.messages("operations", KIND)
        self._ended = cloud.store.json("operations.ended")
        self._sizes = {name: self._kept[name].ByteSize() for name in self._ended if name in self._kept}
        self._bytes = sum(self._sizes.values())
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def done(
        self,
        parent: str,
        response: Message | None = None,
        metadata: Message | None = None,
        error: ApiError | None = None,
        *,
        prefix: str = "",
        known_as: str = "",
    ) -> Message:
        """An operation that is finished as it is answered."""
        operation = self.begin(parent, metadata, prefix=prefix, known_as=known_as)
        return self.finish(operation.name, response, error)

    def begin(self, parent: str, metadata: Message | None = None, *, prefix: str = "", known_as: str = "") -> Message:
        """An operation that goes on; `parent` "" gives a name without one. Call finish() with its name.

        Who must find it again gives what it is `known_as` instead of chance.
        """
        self._forget()
        below = f"{parent}/" if parent else ""
        operation = message(KIND)(name=f"{below}operations/{prefix}{known_as or secrets.token_hex(12)}")
        if metadata is not None:
            operation.metadata.Pack(metadata)
        self._kept[operation.name] = operation
        return operation

    def finish(
        self,
        name: str,
        response: Message | None = None,
        error: ApiError | None = None,
        metadata: Message | None = None,
    ) -> Message:
        """Ends an operation with its result; one that was deleted meanwhile is finished for nobody."""
        operation = self._kept.get(name) or message(KIND)(name=name)
        operation.done = True
        if metadata is not None:
            operation.metadata.Pack(metadata)
        if error is not None:
            operation.error.CopyFrom(error.to_status())
        elif response is not None:
            operation.response.Pack(response)
        else:
            operation.response.Pack(message("google.protobuf.Empty")())
        if name in self._kept:
            self._kept.save(name)
            self._ended[name] = self._cloud.now()
            self._bytes -= self._sizes.pop(name, 0)
            self._sizes[name] = size = operation.ByteSize()
            self._bytes += size
            while self._bytes > MOST_BYTES and (oldest := next(iter(self._sizes))) != name:
                self._drop(oldest)
        self._wake(name)
        return operation

    async def wait(self, name: str, seconds: float | None = None) -> Message:
        """The operation when it is done, or as it stands when the time of the cloud's clock is over."""
        operation = self.get(name)
        if not operation.done and (seconds is None or seconds > 0):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(name, []).append(woken)
            timer = self._cloud.clock.call_later(WAIT_SECONDS if seconds is None else seconds, lambda: _end(woken))
            try:
                await woken
            finally:
                timer.cancel()
        return self.get(name)

    def get(self, name: str) -> Message:
        """The operation; NOT_FOUND as Google says it."""
        found, ended = self._kept.get(name), self._ended.get(name)
        if found is None or (ended is not None and ended < self._cloud.now() - OPERATION_SECONDS):
            raise not_found(f"Operation not found: {name}" if name else "Operation name is required.")
        return found

    def list(self, parent: str) -> list[Message]:
        """The operations below a name."""
        prefix = f"{parent.removesuffix('/operations')}/operations/".lstrip("/")
        return [operation for name, operation in self._kept.items() if name.startswith(prefix)]

    def delete(self, name: str) -> None:
        """Forgets an operation; what it stands for goes on."""
        self.get(name)
        self._drop(name)
        self._wake(name)

    def _drop(self, name: str) -> None:
        self._kept.pop(name)
        self._ended.pop(name)
        self._bytes -= self._sizes.pop(name, 0)

    def _wake(self, name: str) -> None:
        for woken in self._waiting.pop(name, ()):
            _end(woken)

    def _forget(self) -> None:
        horizon = self._cloud.now() - OPERATION_SECONDS
        ended: Mapping[str, Any] = self._ended._items
        spare = len(ended) - MOST_FINISHED
        for index, (name, when) in enumerate(list(islice(ended.items(), 10))):
            if when < horizon or index < spare:
                self._drop(name)


def _end(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
