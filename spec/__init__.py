"""Typed models of the YAML specs, their loader, graph and checks. Knows neither Pulumi nor Google.

Two calls are enough for most users: `load(root, stack)` returns the checked `System` or raises `SpecErrors` with every
finding; `lint(root)` returns the findings of all files and all stacks, warnings among them, and raises nothing;
`report(root)` returns beside them those that a file has silenced, and `laws()` every rule by its number.
"""

from spec.alert import Alert
from spec.board import Board
from spec.channel import Channel
from spec.checks import Law, Report, Silenced, laws
from spec.condition import Condition
from spec.durations import Duration
from spec.errors import Finding, Refused, Severity, SpecError, SpecErrors, UnknownName, Where
from spec.graph import Caller, ScheduledCall, System
from spec.loader import lint, load, report, stack_config
from spec.log_metric import LogMetric
from spec.route import Route
from spec.secret import Secret
from spec.service import Schedule, Service
from spec.slo import Slo
from spec.stack import StackConfig
from spec.task_queue import TaskQueue
from spec.topic import Topic

__all__ = [
    "Alert",
    "Board",
    "Caller",
    "Channel",
    "Condition",
    "Duration",
    "Finding",
    "Law",
    "LogMetric",
    "Refused",
    "Report",
    "Route",
    "Schedule",
    "ScheduledCall",
    "Secret",
    "Service",
    "Severity",
    "Silenced",
    "Slo",
    "SpecError",
    "SpecErrors",
    "StackConfig",
    "System",
    "TaskQueue",
    "Topic",
    "UnknownName",
    "Where",
    "laws",
    "lint",
    "load",
    "report",
    "stack_config",
]
