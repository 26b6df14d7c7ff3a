"""What of a subscription is outstanding, and until when. What becomes of it then is the backlog's."""

import heapq

from local_cloud.pubsub.consumer import Consumer

#: Deadlines of leases that are over are thrown away when there are so many more than leases.
SPARE = 256


class Lease:
    """One message that is outstanding."""

    __slots__ = ("consumer", "deadline", "failures", "key", "number", "serial", "size")

    def __init__(
        self,
        number: int,
        serial: int,
        deadline: float,
        consumer: Consumer,
        *,
        size: int,
        key: str,
        failures: int,
    ) -> None:
        self.number = number
        self.serial = serial
        self.deadline = deadline
        self.size = size
        self.key = key
        #: Deliveries that were refused or ran out of time before this one.
        self.failures = failures
        self.consumer = consumer


class Leases:
    """The leases of one subscription by message, and the windows of who has them."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}
        self._deadlines: list[tuple[float, int, int]] = []
        #: The last lease's number.
        self.serial = 0

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, number: int) -> bool:
        return number in self._leases

    def get(self, number: int) -> Lease | None:
        """The lease of a message."""
        return self._leases.get(number)

    def start(self, number: int, deadline: float, consumer: Consumer, *, size: int, key: str, failures: int) -> Lease:
        """Leases a message to a consumer."""
        self.serial += 1
        lease = self._leases[number] = Lease(
            number, self.serial, deadline, consumer, size=size, key=key, failures=failures
        )
        heapq.heappush(self._deadlines, (deadline, self.serial, number))
        consumer.takes(size)
        return lease

    def extend(self, lease: Lease, deadline: float) -> None:
        """Another deadline, later or earlier."""
        if deadline < lease.deadline:
            heapq.heappush(self._deadlines, (deadline, lease.serial, lease.number))
        lease.deadline = deadline

    def end(self, lease: Lease | None) -> None:
        """A lease is over, for whatever reason."""
        if lease is not None and self._leases.pop(lease.number, None) is not None:
            lease.consumer.gives(lease.size)

    def hand_over(self, old: Consumer, new: Consumer) -> None:
        """What one consumer holds is the other's."""
        for lease in self._leases.values():
            if lease.consumer is old:
                old.gives(lease.size)
                new.takes(lease.size)
                lease.consumer = new

    def clear(self) -> None:
        """All are over."""
        for lease in list(self._leases.values()):
            self.end(lease)
        self._deadlines.clear()

    def next_due(self) -> float:
        """When to look again for leases that have run out."""
        if len(self._deadlines) > 2 * len(self._leases) + SPARE:
            self._deadlines = [(lease.deadline, lease.serial, lease.number) for lease in self._leases.values()]
            heapq.heapify(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else float("inf")

    def overdue(self, now: float) -> list[Lease]:
        """The leases that have run out, in the order of their deadlines; they go on until end()."""
        late: list[Lease] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, serial, number = heapq.heappop(self._deadlines)
            lease = self._leases.get(number)
            if lease is None or lease.serial != serial:
                continue
            if lease.deadline > now:
                heapq.heappush(self._deadlines, (lease.deadline, serial, number))
            else:
                late.append(lease)
        return late
