"""The local engine: runs the Pulumi program in process and applies it to a local cloud by the provider's REST calls.

    result = local_engine.run(
        "local",                       # the stack: stacks/Pulumi.local.yaml
        root=project_root,
        mode="up",                     # or "preview", "destroy"
        state_dir=home / "engine",     # None: a preview that compares with nothing
        ports=Ports(rest=41001, ...),  # real ports in the place of the stack's default ones
        overrides={"sluice:imageDigest": digest},
        offline=False,                 # True: a preview that asks nobody
        planned=[below],               # a preview: plans of stacks whose outputs this one may want
        straight=False,                # True: an up of what was planned already, which is not planned once more
        on_event=print,                # progress: Event(kind="start|done|failed", step=Step(...)), from several threads
    )
    result.ok, result.changed, result.counts, result.writes, result.outputs, result.problems
    local_engine.render(result, colour=True, width=80); result.as_json()   # CUT marks what is cut to the width

``preview`` needs no network, no credentials and no state; it says in ``compared_with`` what it compares with. ``up``
plans first and refuses with nothing done, or acts, writing the state after each step, so that it can be run again after
any crash. ``SpecErrors`` of the program are raised as they are; all else is a ``Problem`` in the result or an
``EngineError``.
"""

from .cloud import Cloud
from .config import Ports, stack_config
from .errors import EngineError, ForeignOwnerError, Problem, StateBusyError, UnreachableError
from .look import Looker
from .model import Change, Event, Op, Result, Step
from .render import render, step_lines, totals
from .run import PROJECT, Mode, run
from .since import compare
from .texts import CUT

__all__ = [
    "CUT",
    "PROJECT",
    "Change",
    "Cloud",
    "EngineError",
    "Event",
    "ForeignOwnerError",
    "Looker",
    "Mode",
    "Op",
    "Ports",
    "Problem",
    "Result",
    "StateBusyError",
    "Step",
    "UnreachableError",
    "compare",
    "render",
    "run",
    "stack_config",
    "step_lines",
    "totals",
]
