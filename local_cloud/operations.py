"""Long-running operations: begun by any API, kept, polled over google.longrunning and REST.

An operation is named below its parent (`projects/P/locations/L/operations/ID`, or `operations/ID` where the API has
no parent for them). Work here is quick, so most operations are done when they are answered; who needs time finishes
one later. Finished operations are kept for OPERATION_SECONDS of the cloud's clock.
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, not_found

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Cloud Run keeps operations for about 5 days; one rule for all.
OPERATION_SECONDS = 5 * 86400

KIND = "google.longrunning.Operation"


class Operations:
    """Every operation of the project."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self._kept = cloud.store.messages("operations", KIND)
        self._ended = cloud.store.json("operations.ended")

    def done(
        self,
        parent: str,
        response: Message | None = None,
        metadata: Message | None = None,
        error: ApiError | None = None,
        *,
        prefix: str = "",
    ) -> Message:
        """An operation that is finished as it is answered."""
        operation = self.begin(parent, metadata, prefix=prefix)
        return self.finish(operation.name, response, error)

    def begin(self, parent: str, metadata: Message | None = None, *, prefix: str = "") -> Message:
        """An operation that goes on; `parent` "" gives a name without one. Call finish() with its name."""
        self._forget()
        below = f"{parent}/" if parent else ""
        operation = message(KIND)(name=f"{below}operations/{prefix}{secrets.token_hex(12)}")
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
        """Ends an operation with its result."""
        operation = self._kept[name]
        operation.done = True
        if metadata is not None:
            operation.metadata.Pack(metadata)
        if error is not None:
            operation.error.CopyFrom(error.to_status())
        elif response is not None:
            operation.response.Pack(response)
        else:
            operation.response.Pack(message("google.protobuf.Empty")())
        self._kept.save(name)
        self._ended[name] = self._cloud.now()
        return operation

    def get(self, name: str) -> Message:
        """The operation; NOT_FOUND as Google says it."""
        found = self._kept.get(name)
        if found is None:
            raise not_found(f"Operation not found: {name}" if name else "Operation name is required.")
        return found

    def list(self, parent: str) -> list[Message]:
        """The operations below a name."""
        prefix = f"{parent.removesuffix('/operations')}/operations/".lstrip("/")
        return [operation for name, operation in self._kept.items() if name.startswith(prefix)]

    def delete(self, name: str) -> None:
        """Forgets an operation."""
        self.get(name)
        self._kept.pop(name)
        self._ended.pop(name)

    def _forget(self) -> None:
        horizon = self._cloud.now() - OPERATION_SECONDS
        ended: Mapping[str, Any] = self._ended._items
        for name, when in list(ended.items())[:10]:
            if when < horizon:
                self._kept.pop(name)
                self._ended.pop(name)
