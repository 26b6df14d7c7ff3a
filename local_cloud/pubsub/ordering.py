"""The law of ordering keys in one subscription: a key's messages go out, and count as acknowledged, in their order.

A key belongs to one consumer while something of it is outstanding; another's turn comes when all that is settled. A
message that is refused or runs out of time takes back all that follows it, those that were acknowledged early included,
and nothing of the key goes out before it. Other keys do not notice. Source: "Order messages" in Google's documentation.
"""

from collections import deque
from collections.abc import Callable

from local_cloud.pubsub.consumer import Consumer


class _Key:
    """One key: what is out, in order, what waits behind it, and what of `out` was acknowledged before its turn."""

    __slots__ = ("blocked", "bound", "consumer", "early", "free", "out", "waiting")

    def __init__(self) -> None:
        self.out: deque[int] = deque()
        self.waiting: deque[int] = deque()
        self.early: set[int] = set()
        self.consumer: Consumer | None = None
        #: When its backoff ends, 0 when there is none.
        self.blocked = 0.0
        #: Stands in the list of keys that anybody may take; in its consumer's list.
        self.free = False
        self.bound = False


class Order:
    """The keys of one subscription of which something is out or held back. `is_open`: not acknowledged yet."""

    def __init__(self, is_open: Callable[[int], bool]) -> None:
        self._is_open = is_open
        self._keys: dict[str, _Key] = {}
        self._free: deque[str] = deque()

    def admit(self, number: int, key: str, consumer: Consumer) -> bool:
        """Whether the next new message may go to this consumer now; otherwise it is kept for its turn."""
        state = self._keys.get(key)
        if state is None:
            state = self._keys[key] = _Key()
        if not state.waiting and not state.blocked and self._may_take(state, consumer):
            state.out.append(number)
            state.consumer = consumer
            return True
        self.keep(number, key)
        return False

    def keep(self, number: int, key: str) -> None:
        """The next new message waits for its turn."""
        state = self._keys.get(key)
        if state is None:
            state = self._keys[key] = _Key()
        state.waiting.append(number)
        self._offer(key, state)

    def next(self, consumer: Consumer) -> tuple[int, str] | None:
        """The next message that waits, and may go to this consumer now, with its key."""
        for keys in (consumer.keys, self._free):
            while keys:
                key = keys.popleft()
                state = self._keys.get(key)
                if state is None:
                    continue
                if keys is self._free:
                    state.free = False
                elif state.consumer is consumer:
                    state.bound = False
                number = self._take(state, consumer)
                self._offer(key, state)
                if number is not None:
                    return number, key
        return None

    def acknowledge(self, number: int, key: str) -> list[int]:
        """What counts as acknowledged now, in order: nothing while an earlier message of the key does not."""
        state = self._keys.get(key)
        if state is None:
            return []
        if number in state.out:
            state.early.add(number)
        elif not state.out and state.waiting and state.waiting[0] == number:
            state.waiting.popleft()
            self._offer(key, state)
            return [number]
        done: list[int] = []
        while state.out and state.out[0] in state.early:
            state.early.discard(state.out[0])
            done.append(state.out.popleft())
        self._offer(key, state)
        return done

    def is_first(self, number: int, key: str) -> bool:
        """Whether no earlier message of the key is out."""
        state = self._keys.get(key)
        return state is not None and bool(state.out) and state.out[0] == number

    def take_back(self, number: int, key: str) -> list[int]:
        """Puts an outstanding message and all that went out after it back in line; gives those after it."""
        state = self._keys[key]
        back: list[int] = []
        while state.out:
            last = state.out.pop()
            back.append(last)
            state.early.discard(last)
            if last == number:
                break
        state.waiting.extendleft(back)
        self._offer(key, state)
        return back[:-1]

    def block(self, key: str, until: float) -> None:
        """Nothing of the key goes out until unblock() at that time or later."""
        state = self._keys[key]
        state.blocked = max(state.blocked, until)

    def unblock(self, key: str, now: float) -> None:
        """A backoff is over; another one of the key may go on."""
        if (state := self._keys.get(key)) is not None and state.blocked <= now:
            state.blocked = 0.0
            self._offer(key, state)

    def hand_over(self, old: Consumer, new: Consumer) -> None:
        """Keys of which one consumer holds something are the other's."""
        for key, state in self._keys.items():
            if state.consumer is old:
                state.consumer, state.bound = new, False
                self._offer(key, state)

    def clear(self) -> None:
        """Forgets all keys."""
        self._keys.clear()
        self._free.clear()

    def _take(self, state: _Key, consumer: Consumer) -> int | None:
        if state.blocked or not self._may_take(state, consumer):
            return None
        while state.waiting:
            number = state.waiting.popleft()
            if self._is_open(number):
                state.out.append(number)
                state.consumer = consumer
                return number
        return None

    @staticmethod
    def _may_take(state: _Key, consumer: Consumer) -> bool:
        return not state.out or (state.consumer is consumer and not consumer.one_per_key)

    def _offer(self, key: str, state: _Key) -> None:
        """Sees to it that what waits is found by whoever may take it, and that nothing is kept of a settled key."""
        if not state.out:
            state.consumer, state.bound = None, False
            if not state.waiting and not state.blocked:
                del self._keys[key]
            elif state.waiting and not state.blocked and not state.free:
                state.free = True
                self._free.append(key)
        elif state.waiting and not state.bound and state.consumer is not None and not state.consumer.one_per_key:
            state.bound = True
            state.consumer.keys.append(key)
