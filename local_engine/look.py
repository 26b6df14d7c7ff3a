"""Looking at a cloud, Google's or a local one: what a stack declares beside what is there, and taking over what is.

Owns the runs that write nothing to a cloud and need no state of their own. ``surveyed`` compares, ``taken`` puts the
resources of an import file into a state as ``pulumi import`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from . import config, host
from .cloud import Cloud
from .model import Event, Result
from .monitor import EngineLog, EngineMonitor
from .run import PARALLEL, PROJECT, run
from .state import State, looked_at, opened
from .survey import Ids, Survey


@dataclass(frozen=True, kw_only=True)
class Looker:
    """One stack and the cloud that is looked at."""

    stack: str
    root: Path
    cloud: Cloud
    #: Where an engine of ours keeps the stack's state, if one does.
    state_dir: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    ports: config.Ports | None = None
    program: host.Program | None = None

    def surveyed(self) -> Survey:
        """What the stack declares, each resource with what the cloud has otherwise."""
        return self._pass(looked_at(self.state_dir, self.stack), None)

    def taken(self, ids: Ids, state_dir: Path) -> Result:
        """Put what an import file names into a state; the cloud is read, and never written."""
        with opened(state_dir, self.stack) as state:
            try:
                survey = self._pass(state, ids)
                survey.take(ids)
            finally:
                state.compact()
        return survey.result

    def _pass(self, state: State | None, ids: Ids | None) -> Survey:
        values = config.stack_config(self.root, self.stack, self.overrides, self.ports)
        survey = Survey(
            Result(stack=self.stack, mode="look", compared_with="the cloud"),
            state,
            config.defaults(values),
            cloud=self.cloud,
            acts=False,
            firm=False,
            other_outputs=self._outputs,
            on_event=_unheard,
            ids=ids,
        )
        host.host(
            self.program or host.program_at(self.root),
            EngineMonitor(survey, project=PROJECT, stack=self.stack, root=self.root),
            EngineLog(survey),
            project=PROJECT,
            stack=self.stack,
            config=values,
            root=self.root,
            preview=True,
            parallel=PARALLEL,
            on_stop=partial(setattr, survey, "stopped"),
        )
        return survey

    def _outputs(self, stack: str) -> dict[str, Any] | None:
        """The outputs of another stack: those of its state, or else those of its plan."""
        state = looked_at(self.state_dir, stack)
        if state is not None and state.outputs:
            return state.outputs
        return run(stack, root=self.root, mode="preview", state_dir=None, offline=True).outputs


def _unheard(event: Event) -> None:
    """Nobody waits for progress here."""
