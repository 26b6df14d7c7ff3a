"""Push delivery: each push subscription's loop from a leased message to its acknowledgement.

Owns what is under way: the request, its deadline (the subscription's acknowledgement deadline), the window and the
pause after refusals, tokens, and what people are told when an endpoint refuses. Leaves alone: which message is next,
leases, order and the retry policy (backlog.py), bytes (push_request.py), the numbers of the window (push_window.py).
Sources: https://cloud.google.com/pubsub/docs/push, .../docs/authenticate-push-subscriptions.
"""

import asyncio
import heapq
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from local_cloud.bearer import bearer
from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.attempt import CODE_NAMES, Identity, code_of
from local_cloud.engines.outgoing import Call, Client, Reply
from local_cloud.engines.ports import SigningError
from local_cloud.errors import ApiError
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.consumer import Consumer, Delivery
from local_cloud.pubsub.push_request import ACKNOWLEDGE, Form
from local_cloud.pubsub.push_window import Pause, Window
from local_cloud.pubsub.state import PubSub

#: A lease is this much longer than the push's deadline: the push ends first, and says why.
GRACE = 5.0
#: The same hint for the same subscription is not repeated for so many seconds of the cloud's clock.
HINT_EVERY = 60.0
#: Told of every push: subscription, response class and code as Google's metrics have them, seconds that it took.
Observer = Callable[[str, str, str, float], None]

_INTERIM = frozenset(status for status in ACKNOWLEDGE if status < 200)
_HINTS = {
    403: "the receiver's door refused the caller: give the account of the subscription's oidcToken roles/run.invoker "
    "on the service, and check that the token's audience is the service's URL",
    401: "the receiver's door asked for a token: give the subscription an oidcToken",
    404: "nothing is served at this URL: check the service's name and path, and that the service is deployed",
}


class _Push:
    """One message on its way to the endpoint."""

    __slots__ = ("ack_id", "at", "call", "over", "work")

    def __init__(self, ack_id: str, at: float, work: AbstractContextManager[None]) -> None:
        self.ack_id = ack_id
        self.at = at
        self.call: Call | None = None
        self.over = False
        #: Its mark as work in flight, for which a move of the clock waits.
        self.work = work


class PushLoop(Consumer):
    """One push subscription's delivery."""

    kind = "push"
    one_per_key = True

    def __init__(self, pushes: "Pushes", backlog: Backlog) -> None:
        self._window = Window()
        super().__init__(0.0, max_messages=self._window.size)
        self._pushes = pushes
        self._cloud = pushes.cloud
        self._backlog = backlog
        self._pause = Pause()
        #: When a push was acknowledged last, which is what uses a subscription.
        self.last_success = 0.0
        self._waking: Timer | None = None
        self._deadlines: list[tuple[float, str, _Push]] = []
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._acked: list[_Push] = []
        self._refused: list[_Push] = []
        self.configure()

    def configure(self) -> None:
        """Takes the subscription's settings as they are now."""
        self._config: Message = self._backlog.config
        self._form = Form(self._config)
        push = self._config.push_config
        token = push.oidc_token
        named = push.HasField("oidc_token")
        self._identity = Identity(token.service_account_email, token.audience or push.push_endpoint) if named else None
        self._limit = float(self._config.ack_deadline_seconds)
        self.deadline = self._limit + GRACE
        # Push backoff is for subscriptions that have none of their own.
        law = self._backlog.law.backoff
        self._pauses = law is None or law[0] <= 0
        self._what = f"push of subscription {self._config.name.rpartition('/')[2]}"

    def room(self) -> int:
        """None while it pauses."""
        if self._pause.until > self._cloud.now():
            return 0
        return super().room()

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Posts them."""
        for delivery in deliveries:
            push = _Push(delivery.ack_id, self._cloud.now(), self._cloud.busy(self._what))
            push.work.__enter__()
            self._watch(push)
            try:
                authorization = bearer(self._cloud, self._identity) if self._identity is not None else ""
            except SigningError as error:
                self._end(push, Reply(0, error=f"no token: {error}"), "internal", "permission_denied")
                continue
            request = self._form.request(delivery.message(), delivery.attempt, authorization)
            done = partial(self._answered, push)
            push.call = self._pushes.client.send(self._form.origin, request, done, enough=_INTERIM)

    def closed(self, error: ApiError) -> None:  # noqa: ARG002 - whatever the reason
        """No more is handed out. What is under way ends by itself, or at once where the subscription is gone."""
        self._pushes.forget(self._backlog.name, self)
        asyncio.get_running_loop().call_soon(self._abandon)

    def _abandon(self) -> None:
        if self._pushes.holds(self._backlog):
            return
        for _, _, push in self._deadlines:
            if not push.over:
                push.over = True
                if push.call is not None:
                    push.call.cancel()
                push.work.__exit__(None, None, None)
        self._deadlines.clear()

    def _answered(self, push: _Push, reply: Reply) -> None:
        status = reply.status
        if status in ACKNOWLEDGE:
            self._end(push, reply, "ack", "success")
        elif not status:
            self._end(push, reply, "unreachable", "unavailable")
        elif 400 <= status < 600:
            self._end(push, reply, f"remote_server_{status // 100}xx", CODE_NAMES[code_of(status)].lower())
        else:
            self._end(push, reply, "invalid", "unknown")

    def _end(self, push: _Push, reply: Reply, kind: str, code: str) -> None:
        if push.over:
            return
        push.over = True
        now = self._cloud.now()
        took = max(0.0, now - push.at)
        if kind == "ack":
            self.last_success = now
            self._window.succeeded(took)
            self._pause.succeeded()
        else:
            self._window.failed()
            if self._pauses:
                self._pause.failed(now)
            self._pushes.refused(self._config, reply)
        self._pushes.observe(self._config.name, kind, code, took)
        if not self._acked and not self._refused:
            asyncio.get_running_loop().call_soon(self._settle)
        (self._acked if kind == "ack" else self._refused).append(push)

    def _settle(self) -> None:
        """Tells the backlog what has ended in this turn."""
        acked, self._acked = self._acked, []
        refused, self._refused = self._refused, []
        self.max_messages = self._window.size
        if self._pushes.holds(self._backlog):  # it may have been deleted meanwhile
            if acked:
                self._backlog.ack([push.ack_id for push in acked])
            if refused:
                self._backlog.modify([push.ack_id for push in refused], 0)
        for push in (*acked, *refused):
            push.work.__exit__(None, None, None)
        self._sleep()

    def _sleep(self) -> None:
        """Sees to it that delivery goes on after a pause."""
        if self._pause.until > self._cloud.now() and self._waking is None:
            self._waking = self._cloud.clock.call_at(self._pause.until, self._awake)

    def _awake(self) -> None:
        self._waking = None
        if self._pushes.holds(self._backlog):
            self._backlog.pump()
            self._sleep()  # another pause may have begun at the very end of this one

    def _watch(self, push: _Push) -> None:
        """Sees to it that the push ends at its deadline."""
        if len(self._deadlines) > 2 * self.outstanding + 256:
            self._deadlines = [entry for entry in self._deadlines if not entry[2].over]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (push.at + self._limit, push.ack_id, push))
        self._arm()

    def _arm(self) -> None:
        while self._deadlines and self._deadlines[0][2].over:
            heapq.heappop(self._deadlines)
        when = self._deadlines[0][0] if self._deadlines else float("inf")
        if when < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at, self._timer = when, self._cloud.clock.call_at(when, self._late)

    def _late(self) -> None:
        self._timer_at, self._timer = float("inf"), None
        now = self._cloud.now()
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].over):
            push = heapq.heappop(self._deadlines)[2]
            if not push.over:
                if push.call is not None:
                    push.call.cancel()
                error = f"no answer within the acknowledgement deadline of {self._limit:g} seconds"
                self._end(push, Reply(0, error=error), "deadline_exceeded", "deadline_exceeded")
        self._arm()


class Pushes:
    """The loops of all push subscriptions."""

    def __init__(self, cloud: Cloud, pubsub: PubSub) -> None:
        self.cloud = cloud
        self.client = Client()
        self.observe: Observer = lambda _subscription, _kind, _code, _seconds: None
        self._pubsub = pubsub
        self._loops: dict[str, PushLoop] = {}
        self._hinted: dict[tuple[str, int], float] = {}

    def start(self) -> None:
        """Takes up every push subscription that was kept."""
        for name in list(self._pubsub.backlogs):
            self.follow(name)

    def stop(self) -> None:
        """Drops the connections; what was under way goes out again after the next start."""
        self.client.close()

    def follow(self, name: str) -> None:
        """A subscription was made or changed: it is pushed from now on, as it says, or no longer."""
        backlog = self._pubsub.backlogs.get(name)
        loop = self._loops.get(name)
        if backlog is None or not backlog.law.pushes:
            if loop is not None and backlog is not None:
                backlog.detach(loop)
            self._loops.pop(name, None)
        elif loop is None:
            loop = self._loops[name] = PushLoop(self, backlog)
            backlog.attach(loop)
        else:
            loop.configure()
            backlog.pump()

    def forget(self, name: str, loop: PushLoop) -> None:
        """The loop gets nothing any more."""
        if self._loops.get(name) is loop:
            del self._loops[name]

    def holds(self, backlog: Backlog) -> bool:
        """Whether the backlog is still there."""
        return self._pubsub.backlogs.get(backlog.name) is backlog

    def last_success(self, name: str) -> float | None:
        """When a push subscription's message was acknowledged last; None for one that is not pushed."""
        loop = self._loops.get(name)
        return loop.last_success if loop is not None else None

    def outstanding(self) -> dict[str, int]:
        """How many messages are under way, by subscription."""
        return {name: loop.outstanding for name, loop in self._loops.items()}

    def refused(self, subscription: Message, reply: Reply) -> None:
        """Tells people, now and then, why an endpoint gets nothing acknowledged."""
        now, name, status = self.cloud.now(), subscription.name, reply.status
        if now - self._hinted.get((name, status), -HINT_EVERY) < HINT_EVERY:
            return
        if len(self._hinted) > 1000:
            self._hinted.clear()
        self._hinted[name, status] = now
        said = f"answered {status}" if status else f"did not take the message: {reply.error.rstrip('.')}"
        hint = f": {_HINTS[status]}" if status in _HINTS else ""
        endpoint = subscription.push_config.push_endpoint
        self.cloud.log.event("WARNING", f"{endpoint} {said}{hint}.", subscription=name, status=status)
