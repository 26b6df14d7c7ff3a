"""Policies on metrics, held against the series at the end of every minute of the cloud's clock.

Owns the order (a move over hours looks at each minute, or at those in which something can change), how conditions
combine, when incidents close by themselves, and where a move of the clock has to stop. A metric that can be read late
(`--metric-lag`) is looked at as late. The last minute looked at is kept: what a stop cuts off is looked at after it,
a day of it at most. Sources: https://cloud.google.com/monitoring/alerts/concepts-indepth (combiners,
missing data, auto-close), .../incidents-events.
"""

from dataclasses import dataclass
from weakref import WeakValueDictionary

from local_cloud.alerting import conditions
from local_cloud.alerting.conditions import Condition, Shared, State
from local_cloud.alerting.incidents import Incident, key_of, series_of
from local_cloud.alerting.keeper import Keeper
from local_cloud.alerting.policy_rules import is_log_match
from local_cloud.alerting.snoozes import Snoozes
from local_cloud.alerting.sources import NEVER
from local_cloud.alerting.words import COMBINERS, MISSING
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import ApiError
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.series import SECOND, STEP, Key

#: Seconds: an incident without data closes after so long, counted from so much after the last data; where missing data
#: is a violation, so much later.
AUTO_CLOSE, AUTO_CLOSE_AFTER, AUTO_CLOSE_VIOLATING = 604_800, 900, 86_400

#: After a restart so much is made up (nanoseconds).
MADE_UP = 86_400 * SECOND

Active = dict[tuple[str, Key], State]


@dataclass(slots=True)
class Watched:
    """One policy that is evaluated."""

    policy: Message
    conditions: list[Condition]
    #: The next minute to look at, of those whose points are known.
    due: int = 0
    #: The next minute in which something changes though no point is new.
    wake: int = NEVER


class Evaluation:
    """All enabled policies on metrics."""

    def __init__(self, cloud: Cloud, keeper: Keeper) -> None:
        self._cloud, self._keeper = cloud, keeper
        self._watched: dict[str, Watched] = {}
        self._snoozes = Snoozes(cloud)
        self._shared: Shared = WeakValueDictionary()
        self._kept = cloud.store.json("alerting.done")
        self._begun = int(cloud.now() * SECOND) // STEP * STEP
        last = self._begun - self._lag
        kept = int(self._kept.get("minute") or last)
        #: The end of the last minute that was looked at.
        self.done = max(kept, last - MADE_UP) if kept <= self._begun else last
        self._fresh = 0

    @property
    def _lag(self) -> int:
        """How late points are seen, in whole minutes."""
        return -(-int(self._cloud.metric_lag.seconds * SECOND) // STEP) * STEP

    def put(self, policy: Message) -> None:
        """Takes a policy in, as it is now. Conditions that are as they were keep what they know."""
        before = self._watched.pop(policy.name, None)
        known = {one.name: one for one in before.conditions} if before is not None else {}
        wanted = policy.enabled.value and not is_log_match(policy)
        made: list[Condition] = []
        for proto in policy.conditions if wanted else ():
            old = known.get(proto.name)
            if old is not None and _meaning(old.proto) == _meaning(proto):
                old.proto = proto
                made.append(old)
            elif (new := self._build(policy, proto)) is not None:
                made.append(new)
        same = {one.name for one in made if known.get(one.name) is one}
        why = "its condition was changed" if wanted else "the policy was disabled"
        for incident in self._keeper.incidents.of(policy.name):
            if incident.extracted is None and incident.condition not in same:
                self._keeper.close(incident, self._cloud.now(), why)
        self._watch(policy, made)

    def restore(self, policy: Message) -> None:
        """Takes a policy in after a restart: retest windows and open incidents go on."""
        incidents = [i for i in self._keeper.incidents.of(policy.name) if i.extracted is None]
        if not policy.enabled.value or is_log_match(policy):
            return
        made = [one for proto in policy.conditions if (one := self._build(policy, proto)) is not None]
        begun = policy.mutation_record.mutate_time.ToNanoseconds()
        for one in made:
            for incident in incidents:
                if incident.condition == one.name:
                    data = int(incident.silent * SECOND) or self.done
                    one.states[key_of(incident.series)] = State(data=data, since=data, met=True)
            inner = getattr(one.proto, one.proto.WhichOneof("condition"))
            first = max(self.done - inner.duration.ToNanoseconds(), begun // STEP * STEP)
            for minute in range(first + STEP, self.done + STEP, STEP):
                one.evaluate(minute)
        self._watch(policy, made)
        for incident in incidents:
            if incident.condition not in {one.name for one in made}:
                self._keeper.close(incident, self._cloud.now(), "its condition can no longer be evaluated")

    def make_up(self) -> None:
        """Looks at the minutes that ended between the last one looked at and the start; all policies are in."""
        self.minute_ended(self._begun)

    def remove(self, name: str) -> None:
        """Lets go of a policy that was deleted; its incidents close."""
        self._watched.pop(name, None)
        for incident in self._keeper.incidents.of(name):
            self._keeper.close(incident, self._cloud.now(), "the policy was deleted")

    def minute_ended(self, end: int) -> None:
        """Looks at all minutes that are over and have not been looked at."""
        last = end - self._lag
        if self.done > end:  # the machine's clock was set back
            self.done = last
        if last <= self.done:
            return
        first = self.done + STEP
        for watched in self._watched.values():
            watched.due = first
        minute = first
        while minute <= last and self._watched:
            for watched in list(self._watched.values()):
                if watched.due <= minute:
                    self._evaluate(watched, minute)
            minute = max(minute + STEP, min((w.due for w in self._watched.values()), default=NEVER))
        self.done = last
        if self._watched:  # in one transaction with the incidents
            self._kept["minute"] = last

    def stop_at(self) -> float | None:
        """Where a move of the clock has to stop next, so that what happens is told at its time."""
        if not self._watched:
            return None
        now = int(self._cloud.now() * SECOND)
        if self._cloud.meter.counting:
            self._fresh = now + self._lag + 2 * STEP
        wake = min(watched.wake for watched in self._watched.values())
        minute = self.done + STEP if now < self._fresh else max(wake, self.done + STEP)
        return None if minute >= NEVER else (minute + self._lag) / SECOND + 0.001

    def _watch(self, policy: Message, made: list[Condition]) -> None:
        if made:
            wake = min(self.done + STEP, *(one.wake() for one in made))
            self._watched[policy.name] = Watched(policy, made, wake=wake)
            self._kept["minute"] = self.done

    def _build(self, policy: Message, proto: Message) -> Condition | None:
        catalogue = self._cloud.use(Catalogue)
        try:
            return conditions.build(self._cloud.meter.points, catalogue, self._cloud.project, proto, self._shared)
        except ApiError as error:  # its metric was deleted since
            text = f"The condition {proto.display_name!r} of policy {policy.display_name!r} cannot be evaluated"
            self._cloud.log.event("WARNING", f"{text}: {error.text}", component="alerting")
            return None

    def _evaluate(self, watched: Watched, minute: int) -> None:
        for one in watched.conditions:
            one.evaluate(minute)
        later = self._reconcile(watched, _combined(watched), minute)
        watched.wake = min(later, *(one.wake() for one in watched.conditions))
        watched.due = min(watched.wake, *(one.due() for one in watched.conditions))

    def _reconcile(self, watched: Watched, active: Active, minute: int) -> int:
        """Opens and closes; the minute in which something falls due by itself."""
        policy, keeper = watched.policy, self._keeper
        at = (minute + self._lag) / SECOND
        later, protos = NEVER, {one.name: one.proto for one in watched.conditions}
        open_ones = {(i.condition, key_of(i.series)): i for i in keeper.incidents.of(policy.name)}
        for (name, key), state in active.items():
            if (name, key) in open_ones:
                continue
            if self._snoozes.holds(policy.name, key, at):
                later = minute + STEP
                continue
            value = None if protos[name].HasField("condition_absent") else state.value
            keeper.open(policy, protos[name], series_of(key), at, value=value)
        for (name, key), incident in open_ones.items():
            quiet = self._snoozes.holds(policy.name, key, at)
            held = next((one for one in watched.conditions if one.name == name), None)
            if (name, key) not in active:
                known = held.states.get(key) if held is not None and held.reporting(key) else None
                value = known.value if known is not None else None
                keeper.close(incident, at, "the condition is no longer met", value, told=not quiet)
                continue
            assert held is not None
            ends = self._auto_close(watched, held, incident, key, at)
            if ends and ends <= at:
                held.states.pop(key, None)
                keeper.close(incident, at, "no data arrived for the time of auto-close", told=not quiet)
                continue
            again = 0.0 if quiet else keeper.remind(policy, incident, at)
            later = min([later, *(_minute(when) - self._lag for when in (ends, again) if when)])
        return later

    def _auto_close(self, watched: Watched, one: Condition, incident: Incident, key: Key, at: float) -> float:
        """When an incident whose series is silent closes by itself; 0 while there is data."""
        if one.reporting(key):
            if incident.silent:
                incident.silent = 0.0
                self._keeper.incidents.save(incident)
            return 0.0
        if not incident.silent:
            incident.silent = min(at, (one.states[key].data + self._lag) / SECOND)
            self._keeper.incidents.save(incident)
        strategy = watched.policy.alert_strategy
        after = strategy.auto_close.seconds if strategy.HasField("auto_close") else AUTO_CLOSE
        if one.proto.HasField("condition_absent"):
            return max(incident.silent + AUTO_CLOSE_AFTER, incident.opened) + after
        violating = MISSING[one.proto.condition_threshold.evaluation_missing_data].endswith("_ACTIVE")
        return incident.silent + AUTO_CLOSE_AFTER + after + (AUTO_CLOSE_VIOLATING if violating else 0)


def _combined(watched: Watched) -> Active:
    """The series for which the policy holds, by condition."""
    found = [(one.name, one.active()) for one in watched.conditions]
    combiner = COMBINERS[watched.policy.combiner]
    if combiner != "OR" and not all(active for _, active in found):
        return {}
    if combiner == "AND_WITH_MATCHING_RESOURCE":
        common = set.intersection(*({_resource(key) for key in active} for _, active in found))
        return {(n, key): state for n, active in found for key, state in active.items() if _resource(key) in common}
    return {(name, key): state for name, active in found for key, state in active.items()}


def _resource(key: Key) -> tuple[object, ...]:
    return key.resource, key.resource_labels


def _minute(when: float) -> int:
    """The end of the minute in which a time lies."""
    return -(-int(when * SECOND) // STEP) * STEP


def _meaning(proto: Message) -> bytes:
    """A condition without what it is called."""
    made = type(proto)()
    made.CopyFrom(proto)
    made.ClearField("display_name")
    return bytes(made.SerializeToString(deterministic=True))
