"""IAM bindings: all members of one role of one thing's policy; and what of it is logged."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import ClassVar

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..policy_part import (
    CONDITION,
    OfAccount,
    OfProject,
    OfQueue,
    OfRunService,
    PolicyPart,
    bindings,
    fresh,
    place,
    title,
)
from ..resource_type import Inputs, templated
from ..shapes import Shape, blocks, body, name_part, required, text, texts

_BINDING: Shape = {"members": texts(required=True), "role": required(name_part()), "condition": CONDITION}


class IamBinding(PolicyPart):
    """Everybody in one role; others are put out of it."""

    def identity(self, inputs: Inputs) -> str:
        """Thing and role, as the provider writes it."""
        thing = self.path(inputs)
        return templated(f"{thing}/{{role}}", inputs) + title(inputs) if thing else ""

    def found(self, policy: JsonObject, inputs: Inputs) -> JsonObject | None:
        """The members of the role."""
        standing = bindings(policy, inputs)
        return {"members": sorted({one for of in standing for one in of["members"]})} if standing else None

    def add(self, policy: JsonObject, inputs: Inputs) -> bool:
        """In the place of the role's binding."""
        wanted = sorted(inputs["members"])
        if (self.found(policy, inputs) or {}).get("members") == wanted:
            return False
        self.remove(policy, inputs)
        policy["bindings"] = [*policy.get("bindings", ()), fresh(inputs, wanted)]
        return True

    def remove(self, policy: JsonObject, inputs: Inputs) -> bool:
        """The whole binding."""
        standing = bindings(policy, inputs)
        policy["bindings"] = [of for of in policy.get("bindings", ()) if of not in standing]
        return bool(standing)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Whether somebody came or went."""
        wanted = sorted(inputs["members"])
        if live.get("members") == wanted:
            return []
        return [Change(path="members", kind="update", old=live.get("members"), new=wanted, drift=True)]


class AccountBinding(OfAccount, IamBinding):
    """A role of a service account's policy."""

    token = "gcp:serviceaccount/iAMBinding:IAMBinding"
    inputs: ClassVar[Shape] = {**place("serviceAccountId"), **_BINDING}


class QueueBinding(OfQueue, IamBinding):
    """A role of a queue's policy."""

    token = "gcp:cloudtasks/queueIamBinding:QueueIamBinding"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_BINDING}


class RunServiceBinding(OfRunService, IamBinding):
    """A role of a Cloud Run service's policy."""

    token = "gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_BINDING}


_LOG = {"logType": text(required=True), "exemptedMembers": texts()}


class AuditConfig(OfProject):
    """What of a service's calls is logged: a part of the project's policy."""

    token = "gcp:projects/iAMAuditConfig:IAMAuditConfig"
    inputs: ClassVar[Shape] = {
        **place("project"),
        "service": text(required=True),
        "auditLogConfigs": blocks(_LOG, required=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Project and service, as the provider writes it."""
        return templated("{project}/audit_config/{service}", inputs)

    def found(self, policy: JsonObject, inputs: Inputs) -> JsonObject | None:
        """The service's configuration."""
        return next((of for of in policy.get("auditConfigs", ()) if of["service"] == inputs["service"]), None)

    def add(self, policy: JsonObject, inputs: Inputs) -> bool:
        """In the place of the one before."""
        wanted = {"service": inputs["service"], **body({"auditLogConfigs": self.inputs["auditLogConfigs"]}, inputs)}
        if self.found(policy, inputs) == wanted:
            return False
        self.remove(policy, inputs)
        policy["auditConfigs"] = [*policy.get("auditConfigs", ()), wanted]
        return True

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Where another service is meant, the one before is put out."""
        if old.get("service") not in (None, inputs["service"]):
            self.change(cloud, inputs, lambda policy: self.remove(policy, old))
        return super().update(cloud, identity, old, inputs, changed)

    def remove(self, policy: JsonObject, inputs: Inputs) -> bool:
        """The service's configuration."""
        standing = self.found(policy, inputs)
        policy["auditConfigs"] = [of for of in policy.get("auditConfigs", ()) if of is not standing]
        return standing is not None

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Whether it is logged as declared, in whatever order."""

        def normal(given: JsonObject) -> list[tuple[str, list[str]]]:
            return sorted((of["logType"], sorted(of.get("exemptedMembers") or ())) for of in given["auditLogConfigs"])

        if normal(dict(inputs)) == normal(live):
            return []
        old, new = live["auditLogConfigs"], inputs["auditLogConfigs"]
        return [Change(path="auditLogConfigs", kind="update", old=old, new=new, drift=True)]
