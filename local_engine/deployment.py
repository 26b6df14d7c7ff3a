"""One pass over the program's registrations: decides the step for each resource.

Owns what stands between program and provider: the choice of same, create, update or replace; failures, and what depends
on them; the books of the pass. A pass without ``acts`` is a plan. Registrations come from several threads, each urn
once. What is no longer registered is ``deletions``' business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import checks, diff, steps
from .cloud import Cloud
from .errors import EngineError, Problem, RefusedError
from .model import Change, Event, Goal, Op, Record, Result, Step
from .resource_type import Defaults
from .shapes import replacing
from .state import State
from .steps import Registered, Work
from .values import plain


class Deployment:
    """A pass; with ``acts`` it changes the cloud, with a cloud it looks, without one it knows the saved state alone."""

    def __init__(
        self,
        result: Result,
        state: State | None,
        defaults: Defaults,
        *,
        cloud: Cloud | None,
        acts: bool,
        firm: bool,
        other_outputs: Callable[[str], dict[str, Any] | None],
        on_event: Callable[[Event], None],
    ) -> None:
        self.result, self.state, self.defaults, self.cloud, self.acts = result, state, defaults, cloud, acts
        #: Whether this pass acts or decides if one may: then what it reads of other stacks must stand.
        self.firm = firm
        self._other_outputs, self._on_event = other_outputs, on_event
        self.records: dict[str, Record] = dict(state.records) if state else {}
        self.seen: dict[str, Goal] = {}
        #: What failed or was not attempted.
        self.failed: set[str] = set()
        #: Deleted, or to be deleted, because what they depend on is deleted before its replacement: urn -> reason.
        self.cleared: dict[str, str] = {}
        self.exported: dict[str, Any] | None = None
        #: Why nothing more is begun; empty while all is.
        self.stopped = ""
        self._lock = threading.RLock()

    def register(self, goal: Goal) -> Registered:
        """Bring the resource about, or say what would be done."""
        with self._lock:
            if goal.urn in self.seen:
                raise RefusedError([checks.problem(goal, "it is declared twice", "give one of the two another name")])
            self.seen[goal.urn] = goal
        try:
            return self._custom(goal) if goal.custom else self._component(goal)
        except EngineError as error:
            self.failed.add(goal.urn)
            found = [checks.problem(goal, str(error), checks.advice(error))]
            for problem in error.problems if isinstance(error, RefusedError) else found:
                self.refuse(problem)
                self._tell("failed", Step(op=Op.SKIP, urn=goal.urn, type=goal.type, name=goal.name), problem)
            return Registered(goal.urn, failed=True)

    def export(self, outputs: dict[str, Any]) -> None:
        """Keep the outputs of the stack."""
        self.exported = outputs

    def outputs_of(self, urn: str, stack: str) -> dict[str, Any] | None:
        """What another stack exported; not knowing it is an error once things are made."""
        outputs = self._other_outputs(stack)
        if outputs is None and self.firm:
            what = f"stack {stack} has not been applied to its end, and this one reads its outputs"
            self.failed.add(urn)
            self.refuse(Problem(what=what, where=f"stack {self.result.stack}", fix=f"apply {stack} first", urn=urn))
        return outputs

    def refuse(self, problem: Problem) -> None:
        """Count a problem."""
        with self._lock:
            self.result.problems.append(problem)

    def warn(self, text: str) -> None:
        """Count a warning of the program."""
        with self._lock:
            self.result.warnings.append(text)

    def _custom(self, goal: Goal) -> Registered:
        reason = self._blocked(goal)
        if reason:
            self.failed.add(goal.urn)
            self.note(Step(op=Op.SKIP, urn=goal.urn, type=goal.type, name=goal.name, parent=goal.parent, reason=reason))
            return Registered(goal.urn, failed=True)
        old = self._find(goal)
        kind = checks.kind_of(goal, applies=self.firm)
        inputs = checks.checked(goal, kind, old, self.defaults, final=self.acts)
        reason = self.cleared.get(goal.urn, "")
        work = Work(goal=goal, kind=kind, inputs=inputs, retain=self.retains(goal), old=old, reason=reason)
        return steps.create(self, work) if old is None else self._compared(work, old)

    def _decide(self, work: Work) -> Callable[[Deployment, Work], Registered]:
        if work.old is None or work.reason:
            return steps.create
        if any(change.replaces for change in work.changes):
            return steps.swap
        return steps.update if work.changes else steps.same

    def _compared(self, work: Work, old: Record) -> Registered:
        """Compare with the record and, where there is a cloud, with what is really there."""
        found = [replace(change, replaces=_forces(work, change)) for change in diff.changes(old.inputs, work.inputs)]
        if self.cloud is not None and not work.reason:
            live = work.kind.read(self.cloud, old.id, plain(dict(old.inputs)))
            if live is None:
                work = replace(work, reason="it is gone from the cloud")
            elif not found:
                ignored = work.goal.options.ignore_changes
                moved = work.kind.drift(self.cloud, work.sent, live)
                found = [change for change in moved if not any(_within(change.path, name) for name in ignored)]
        work = replace(work, changes=() if work.reason else tuple(found))
        return self._decide(work)(self, work)

    def _component(self, goal: Goal) -> Registered:
        old = self._find(goal)
        made = Record(urn=goal.urn, type=goal.type, name=goal.name, custom=False, parent=goal.parent)
        self.keep(made, old)
        op = Op.CREATE if old is None else Op.SAME
        self.note(Step(op=op, urn=goal.urn, type=goal.type, name=goal.name, custom=False, parent=goal.parent))
        return Registered(goal.urn)

    def _find(self, goal: Goal) -> Record | None:
        with self._lock:
            known = next((urn for urn in (goal.urn, *goal.options.aliases) if urn in self.records), None)
            if known is None or known == goal.urn:
                return self.records.get(goal.urn)
            moved = replace(self.records.pop(known), urn=goal.urn, name=goal.name, parent=goal.parent)
            self.records[goal.urn] = moved
        if self.acts and self.state is not None:
            self.state.rename(known, moved)
        return moved

    def _blocked(self, goal: Goal) -> str:
        if self.stopped:
            return self.stopped
        lost = next((urn for urn in goal.dependencies if urn in self.failed), "")
        return f"{lost.rsplit('::', 1)[-1]}, which it depends on, failed" if lost else ""

    def retains(self, goal: Goal) -> bool:
        """Whether the resource stays in the cloud when it is no longer declared; children do as their parents."""
        while goal.options.retain is None and goal.parent in self.seen:
            goal = self.seen[goal.parent]
        return bool(goal.options.retain)

    @property
    def tools(self) -> tuple[Cloud, State]:
        """What a pass that acts has."""
        if self.cloud is None or self.state is None:
            raise EngineError("Nothing can be applied without a cloud and a state.")
        return self.cloud, self.state

    def keep(self, record: Record, old: Record | None) -> None:
        """The resource stands as recorded."""
        with self._lock:
            self.records[record.urn] = record
        if self.acts and self.state is not None and record != old:
            self.state.put(record)

    def supersede(self, record: Record, old: Record) -> None:
        """The resource stands as recorded; its old half goes at the end."""
        with self._lock:
            self.records[record.urn] = record
        if self.state is not None:
            self.state.supersede(record, old)

    def forget(self, record: Record) -> None:
        """The resource is gone."""
        with self._lock:
            self.records.pop(record.urn, None)
        if self.state is not None:
            self.state.drop(record.urn)

    def begin(self, step: Step) -> float:
        """Tell that a step starts; the time of it."""
        self._tell("start", step)
        return time.perf_counter()

    def done(self, step: Step, begun: float, record: Record) -> Registered:
        """A step was taken."""
        self.note(replace(step, id=record.id, seconds=time.perf_counter() - begun))
        return Registered(record.urn, record.id, {**record.inputs, **record.outputs})

    def note(self, step: Step) -> None:
        """Keep the step in the result."""
        with self._lock:
            self.result.steps.append(step)
        self._tell("done", step)

    def _tell(self, kind: str, step: Step, problem: Problem | None = None) -> None:
        with self._lock:
            self._on_event(Event(kind=kind, step=step, problem=problem))


def _forces(work: Work, change: Change) -> bool:
    named = any(_within(change.path, path) for path in work.goal.options.replace_on_changes)
    return named or replacing(work.kind.inputs, change.path)


def _within(path: str, whole: str) -> bool:
    return path == whole or path.startswith((f"{whole}.", f"{whole}["))
