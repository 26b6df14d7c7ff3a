"""What may be told of messages: a watcher overrides what it wants to hear of. Metrics are made of it (the API's)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_cloud.pubsub.backlog import Backlog
    from local_cloud.pubsub.consumer import Consumer


class Watcher:
    """Hears of everything, and does nothing."""

    def published(self, topic: str, sizes: list[int]) -> None:
        """Messages of these sizes were taken up by a topic."""

    def sent(self, backlog: "Backlog", consumer: "Consumer", messages: int, size: int) -> None:
        """Messages were handed to a pull, a stream or a push loop."""

    def acked(self, backlog: "Backlog", messages: int) -> None:
        """Messages were acknowledged."""

    def returned(self, backlog: "Backlog", messages: int) -> None:
        """Messages were refused (nack)."""

    def expired(self, backlog: "Backlog", messages: int) -> None:
        """Leases ran out."""

    def modified(self, backlog: "Backlog", messages: int) -> None:
        """Deadlines were changed, other than to 0."""

    def dead_lettered(self, backlog: "Backlog", messages: int) -> None:
        """Messages went to the dead letter topic."""
