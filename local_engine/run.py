"""A run of a stack from its config to its result: preview, up or destroy.

``up`` plans first, without a call, so that whatever can be refused is refused before anything changes; then it acts.
What was planned already is brought about ``straight``, as ``pulumi up --skip-preview`` does.
Owns the order of the phases; each phase is another module's.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from spec import SpecErrors

from . import checks, config, deletions, guards, host, ownership
from .cloud import ATTRIBUTION, Cloud
from .deployment import Deployment
from .errors import EngineError, Problem
from .model import Event, Op, Record, Result, Step
from .monitor import EngineLog, EngineMonitor
from .resource_type import Defaults
from .state import State, looked_at, opened
from .values import has_unknown

Mode = Literal["preview", "up", "destroy"]

#: The project's name in urns, as Pulumi.yaml has it.
PROJECT: Final = "sluice"
#: Resources that are applied at once.
PARALLEL: Final = 16


def _unheard(event: Event) -> None:
    """Progress that nobody asked for."""


def run(
    stack: str,
    *,
    root: Path,
    mode: Mode,
    state_dir: Path | None,
    overrides: Mapping[str, Any] | None = None,
    ports: config.Ports | None = None,
    offline: bool = False,
    program: host.Program | None = None,
    planned: Sequence[Result] = (),
    attribution: Mapping[str, str] = ATTRIBUTION,
    parallel: int = PARALLEL,
    straight: bool = False,
    on_event: Callable[[Event], None] = _unheard,
) -> Result:
    """Preview, apply or destroy ``stack``; see the package's docstring for the arguments."""
    began = time.perf_counter()
    values = config.stack_config(root, stack, overrides, ports)
    places = config.endpoints(values)
    cloud = None
    if mode != "preview" or (places and not offline):
        cloud = Cloud(places, attribution=attribution)
    absent = mode == "preview" and cloud is not None and not ownership.present(cloud, config.defaults(values))
    if absent:
        cloud = None
    runner = _Runner(
        stack=stack,
        root=root,
        values=values,
        given=config.defaults(values),
        program=program or host.program_at(root),
        state_dir=state_dir,
        planned=planned,
        parallel=parallel,
        straight=straight,
        on_event=on_event,
    )
    if mode == "preview":
        result = runner.plan(looked_at(state_dir, stack), cloud)
        if absent:
            result.warnings.append("the cloud does not answer: what is really there is not known")
    else:
        if cloud is None or state_dir is None:
            raise EngineError(f"{mode} needs a state directory and a local cloud.")
        with opened(state_dir, stack) as state:
            try:
                result = runner.up(state, cloud) if mode == "up" else runner.destroy(state, cloud)
            finally:
                state.compact()
    if cloud is not None:
        result.reads, result.writes = cloud.reads, cloud.writes
    result.seconds = time.perf_counter() - began
    return result


@dataclass(frozen=True, kw_only=True)
class _Runner:
    stack: str
    root: Path
    values: Mapping[str, Any]
    given: Defaults
    program: host.Program
    state_dir: Path | None
    #: Plans of other stacks that were made a moment ago.
    planned: Sequence[Result]
    parallel: int
    straight: bool
    on_event: Callable[[Event], None]

    def plan(self, state: State | None, cloud: Cloud | None, *, before_up: bool = False) -> Result:
        """What an apply would do; before one it is silent and takes nothing for granted."""
        result = self._result("up" if before_up else "preview", state, cloud)
        deployment = self._pass(result, state, cloud, acts=False)
        if not result.problems:
            for record in self._leftover(deployment, state):
                problem = guards.deletion(record, f"stack {self.stack}")
                if problem:
                    result.problems.append(problem)
                else:
                    deployment.note(_removal(record))
        # Registrations come in the order of threads; a plan reads the same each time, component by component.
        result.steps.sort(key=lambda step: (step.op in (Op.DELETE, Op.RETAIN), step.parent, step.type, step.name))
        result.problems.sort(key=lambda problem: (problem.where, problem.what))
        result.outputs = deployment.exported or {}
        result.saved_outputs = state.outputs if state is not None and state.outputs else None
        return result

    def up(self, state: State, cloud: Cloud) -> Result:
        """Apply the program."""
        if not self.straight:
            planned = self.plan(state, None, before_up=True)
            if planned.problems:
                return replace(planned, steps=[])
        ownership.refuse_foreign(cloud, self.given)
        ownership.claim(cloud, self.stack)
        result = self._result("up", state, cloud)
        deployment = self._pass(result, state, cloud, acts=True)
        result.outputs = state.outputs
        if not result.problems:
            self._delete(deployment, state, cloud, self._leftover(deployment, state))
            deletions.sweep(state, cloud, deployment.seen)
        if not result.problems and deployment.exported is not None:
            known = {name: value for name, value in deployment.exported.items() if not has_unknown(value)}
            if known != state.outputs:
                state.export(known)
            result.outputs = known
        return result

    def destroy(self, state: State, cloud: Cloud) -> Result:
        """Delete all that the stack has; nothing at all where something may not be deleted."""
        result = self._result("destroy", state, cloud)
        doomed = [*state.records.values(), *state.doomed]
        refused = [found for record in doomed if (found := guards.deletion(record, f"stack {self.stack}"))]
        if refused:
            result.problems.extend(refused)
            return result
        ownership.refuse_foreign(cloud, self.given)
        deployment = self._deployment(result, state, cloud, acts=True)
        self._delete(deployment, state, cloud, doomed)
        if not result.problems:
            deletions.sweep(state, cloud, ())
            state.export({})
            ownership.release(cloud, self.stack)
        return result

    def _pass(self, result: Result, state: State | None, cloud: Cloud | None, *, acts: bool) -> Deployment:
        deployment = self._deployment(result, state, cloud, acts=acts)
        monitor = EngineMonitor(deployment, project=PROJECT, stack=self.stack, root=self.root)
        try:
            host.host(
                self.program,
                monitor,
                EngineLog(deployment),
                project=PROJECT,
                stack=self.stack,
                config=self.values,
                root=self.root,
                preview=not acts,
                parallel=self.parallel if cloud is not None else 0,
                on_stop=partial(setattr, deployment, "stopped"),
            )
        except SpecErrors:
            raise
        except Exception as error:
            result.problems.append(self._program_failed(error))
        return deployment

    def _deployment(self, result: Result, state: State | None, cloud: Cloud | None, *, acts: bool) -> Deployment:
        quiet = result.mode == "up" and not acts
        return Deployment(
            result,
            state,
            self.given,
            cloud=cloud,
            acts=acts,
            firm=result.mode == "up",
            other_outputs=lambda other: self._outputs_of(result, other),
            on_event=_unheard if quiet else self.on_event,
        )

    def _leftover(self, deployment: Deployment, state: State | None) -> list[Record]:
        gone = [record for urn, record in deployment.records.items() if urn not in deployment.seen]
        return [*gone, *(state.doomed if state else ())]

    def _delete(self, deployment: Deployment, state: State, cloud: Cloud, doomed: list[Record]) -> None:
        refused = [found for record in doomed if (found := guards.deletion(record, f"stack {self.stack}"))]
        if refused:
            deployment.result.problems.extend(refused)
            return
        halves = set(map(id, state.doomed))

        def act(record: Record) -> None:
            step = _removal(record)
            begun = deployment.begin(step)
            deletions.delete(cloud, record)
            if id(record) not in halves:
                deployment.forget(record)
                deployment.note(replace(step, seconds=time.perf_counter() - begun))
                return
            state.bury(record)
            if record.urn not in deployment.seen:  # else the replacement's step tells of it
                deployment.note(replace(step, seconds=time.perf_counter() - begun))

        def failed(record: Record, error: EngineError) -> None:
            what = f"{record.type} {record.name} could not be deleted: {error}"
            fix = checks.advice(error)
            deployment.refuse(Problem(what=what, where=f"stack {self.stack}", fix=fix, urn=record.urn))

        def blocked(record: Record, reason: str) -> None:
            deployment.note(replace(_removal(record), op=Op.SKIP, reason=reason))

        deletions.run(doomed, act, failed, blocked, self.parallel)

    def _result(self, mode: str, state: State | None, cloud: Cloud | None) -> Result:
        saved = "the saved state" if state is not None and state.saved else "nothing (no saved state)"
        return Result(stack=self.stack, mode=mode, compared_with=f"{saved} and the cloud" if cloud else saved)

    def _outputs_of(self, result: Result, stack: str) -> dict[str, Any] | None:
        state = looked_at(self.state_dir, stack)
        if state is not None and state.outputs:
            return state.outputs
        if result.mode != "preview":
            return None
        # A plan of a stack whose foundation was never applied goes by what the foundation's own plan exports.
        result.warnings.append(f"{stack} has no saved state: its outputs are those of its plan")
        if made := next((one for one in self.planned if one.stack == stack and one.mode == "preview"), None):
            return made.outputs
        values = config.stack_config(self.root, stack)
        below = replace(self, stack=stack, values=values, given=config.defaults(values), on_event=_unheard)
        return below.plan(None, None).outputs

    def _program_failed(self, error: Exception) -> Problem:
        where = "the program"
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            if (
                path.is_relative_to(self.root)
                and "site-packages" not in path.parts
                and path.parent != Path(__file__).parent
            ):
                where = f"{path.relative_to(self.root)}:{frame.lineno}"
        fix = "correct the program; nothing is deleted while it fails"
        return Problem(what=f"{type(error).__name__}: {error}", where=where, fix=fix)


def _removal(record: Record) -> Step:
    op = Op.RETAIN if record.retain and record.custom else Op.DELETE
    return Step(
        op=op,
        urn=record.urn,
        type=record.type,
        name=record.name,
        custom=record.custom,
        parent=record.parent,
        id=record.id,
    )
