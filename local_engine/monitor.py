"""The engine's side of the SDK's resource monitor: requests become goals, answers become responses.

Owns the refusal of options that the engine does not model; a refused option is never silently dropped. The decisions
are ``deployment``'s. Based on the SDK's own mock monitor, so that it is called in process, without gRPC.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from google.protobuf import empty_pb2
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import alias_pb2, engine_pb2, resource_pb2

from .errors import Problem, RefusedError
from .model import Goal, Options
from .values import UNKNOWN, from_struct, has_secret, to_struct

STACK_TYPE = "pulumi:pulumi:Stack"
STACK_REFERENCE = "pulumi:pulumi:StackReference"
#: Options of a registration that are refused, with what they mean.
_UNMODELLED = {
    "provider": "an explicit provider",
    "providers": "explicit providers",
    "remote": "a remote component",
    "deletedWith": "deleted_with",
    "replace_with": "replace_with",
    "transforms": "transforms",
    "state_migrations": "state migrations",
    "envVarMappings": "env_var_mappings",
}


class Registered(Protocol):
    """What became of a registration."""

    urn: str
    id: str
    outputs: dict[str, Any]
    failed: bool


class Decider(Protocol):
    """Who decides what a registration leads to."""

    def register(self, goal: Goal) -> Registered:
        """Bring the resource about, or say what would be done."""

    def export(self, outputs: dict[str, Any]) -> None:
        """Keep the outputs of the stack."""

    def outputs_of(self, urn: str, stack: str) -> dict[str, Any] | None:
        """What another stack exported; None where it is not known."""

    def refuse(self, problem: Problem) -> None:
        """Count a problem."""

    def warn(self, text: str) -> None:
        """Count a warning of the program."""


class _NoMocks(Mocks):
    def call(self, args: MockCallArgs) -> Any:
        raise NotImplementedError(args.token)

    def new_resource(self, args: MockResourceArgs) -> Any:
        raise NotImplementedError(args.typ)


class EngineMonitor(MockMonitor):
    """Answers the program's registrations."""

    def __init__(self, decider: Decider, *, project: str, stack: str, root: Path) -> None:
        super().__init__(_NoMocks())
        self._decider, self._project, self._stack, self._root = decider, project, stack, root

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: ARG002, N802 - the protocol's name
        """Only what the engine models: the SDK refuses the rest by itself."""
        features = [
            resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
            resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
        ]
        return resource_pb2.DeploymentInfo(supportedFeatures=features)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """One resource of the program."""
        urn = self._urn(request.parent, request.type, request.name)
        where = self._where(request)
        try:
            done = self._decider.register(self._goal(request, urn, where))
        except RefusedError as refused:
            for problem in refused.problems:
                self._decider.refuse(problem)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        if done.failed:
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        return resource_pb2.RegisterResourceResponse(urn=done.urn, id=done.id, object=to_struct(done.outputs))

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Outputs of a component or of the stack."""
        if request.urn.split("::")[2] == STACK_TYPE:
            self._decider.export(from_struct(request.outputs))
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Another stack's outputs."""
        urn = self._urn(request.parent, request.type, request.name)
        if request.type != STACK_REFERENCE:
            raise NotImplementedError(f"The local engine reads stack references only, not {request.type}.")
        outputs = self._decider.outputs_of(urn, request.id.rsplit("/", 1)[-1])
        known: dict[str, Any] = {"name": request.id, "outputs": UNKNOWN, "secretOutputNames": UNKNOWN}
        if outputs is not None:
            secret = [name for name, value in outputs.items() if has_secret(value)]
            known |= {"outputs": outputs, "secretOutputNames": secret}
        return resource_pb2.ReadResourceResponse(urn=urn, id=request.id, properties=to_struct(known))

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Data sources would need a cloud at preview."""
        raise NotImplementedError(f"The local engine runs no functions of providers ({request.tok}).")

    def _goal(self, request: Any, urn: str, where: str) -> Goal:
        self._refuse_unmodelled(request, urn, where)
        of = request.propertyDependencies
        return Goal(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            inputs=from_struct(request.object),
            dependencies=tuple(request.dependencies),
            property_dependencies={name: tuple(of[name].urns) for name in of if of[name].urns},
            options=Options(
                protect=request.protect,
                retain=request.retainOnDelete if request.HasField("retainOnDelete") else None,
                delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
                ignore_changes=tuple(request.ignoreChanges),
                replace_on_changes=tuple(request.replaceOnChanges),
                secret_outputs=tuple(request.additionalSecretOutputs),
                import_id=request.importId,
                aliases=tuple(self._alias(alias, request) for alias in request.aliases),
            ),
            where=where,
        )

    def _refuse_unmodelled(self, request: Any, urn: str, where: str) -> None:
        used = [meaning for name, meaning in _UNMODELLED.items() if getattr(request, name)]
        used += ["replacement_trigger"] if request.HasField("replacement_trigger") else []
        hooks = request.hooks if request.HasField("hooks") else None
        used += ["resource hooks"] if hooks is not None and hooks.ListFields() else []
        fix = "leave the option out, or model it in local_engine/monitor.py"
        problems = [
            Problem(
                what=f"{request.name} uses {meaning}, which the local engine does not model",
                where=where,
                fix=fix,
                urn=urn,
            )
            for meaning in used
        ]
        if problems:
            raise RefusedError(problems)

    def _alias(self, alias: alias_pb2.Alias, request: Any) -> str:
        if alias.urn:
            return str(alias.urn)
        spec = alias.spec
        parent = "" if spec.noParent else (spec.parentUrn or request.parent)
        return self._urn(
            parent, spec.type or request.type, spec.name or request.name, stack=spec.stack, project=spec.project
        )

    def _urn(self, parent: str, type_: str, name: str, *, stack: str = "", project: str = "") -> str:
        if parent and not parent.split("::")[2].endswith(STACK_TYPE):
            type_ = f"{parent.split('::')[2]}${type_}"
        return f"urn:pulumi:{stack or self._stack}::{project or self._project}::{type_}::{name}"

    def _where(self, request: Any) -> str:
        frames = [frame.pc for frame in request.stackTrace.frames] or [request.sourcePosition]
        for frame in frames:
            path = Path(unquote(urlsplit(frame.uri).path))
            if path.is_relative_to(self._root) and "site-packages" not in path.parts:
                return f"{path.relative_to(self._root)}:{frame.line}"
        return f"{frames[0].uri}:{frames[0].line}"


class EngineLog:
    """The program's own log: warnings and errors reach the result, the rest the logging module."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    def Log(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """One line of ``pulumi.log``."""
        if request.severity == engine_pb2.ERROR:
            fix = "see the program's message"
            self._decider.refuse(Problem(what=request.message, where="the program", fix=fix, urn=request.urn))
        elif request.severity == engine_pb2.WARNING:
            self._decider.warn(request.message)
        elif request.severity == engine_pb2.INFO:
            logging.getLogger(__name__).info(request.message)
        return empty_pb2.Empty()
