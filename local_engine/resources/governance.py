"""What governs a project: budgets, the policy of binary authorization, service identities."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Inputs, ResourceType, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, number, required, text, texts

_DATE = {"year": integer(required=True), "month": integer(required=True), "day": integer(required=True)}
_FILTER = {
    "calendarPeriod": text(),
    "creditTypes": texts(),
    "creditTypesTreatment": text(),
    "customPeriod": block({"startDate": block(_DATE, required=True), "endDate": block(_DATE)}),
    "labels": labels(),
    "projects": texts(),
    "resourceAncestors": texts(),
    "services": texts(),
    "subaccounts": texts(),
}
_AMOUNT = {
    "lastPeriodAmount": flag(),
    "specifiedAmount": block({"currencyCode": text(), "nanos": integer(), "units": text()}),
}
_UPDATES = {
    "disableDefaultIamRecipients": flag(),
    "enableProjectLevelRecipients": flag(),
    "monitoringNotificationChannels": texts(),
    "pubsubTopic": text(),
    "schemaVersion": text(),
}


class Budget(RestType):
    """A budget of a billing account."""

    token = "gcp:billing/budget:Budget"
    endpoint = "billingBudgets"
    collection = "billingAccounts/{billingAccount}/budgets"
    names_itself = True
    masks: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "budgetFilter": tuple(
            f"budgetFilter.{name}"
            for name in (
                "projects",
                "resourceAncestors",
                "labels",
                "calendarPeriod",
                "customPeriod",
                "services",
                "creditTypesTreatment",
                "creditTypes",
                "subaccounts",
            )
        ),
        "amount": tuple(f"amount.specifiedAmount.{name}" for name in ("currencyCode", "units", "nanos")),
        "allUpdatesRule": tuple(
            f"notificationsRule.{name}"
            for name in (
                "pubsubTopic",
                "schemaVersion",
                "monitoringNotificationChannels",
                "disableDefaultIamRecipients",
                "enableProjectLevelRecipients",
            )
        ),
    }
    inputs: ClassVar[Shape] = {
        "billingAccount": required(name_part()),
        "allUpdatesRule": block(_UPDATES, api="notificationsRule"),
        "amount": block(_AMOUNT, required=True),
        "budgetFilter": block(_FILTER),
        "displayName": text(),
        "thresholdRules": blocks({"spendBasis": text(), "thresholdPercent": number(required=True, keep=True)}),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """Labels take lists, the last period's amount is an object, and the provider states its defaults."""
        sent = super().body(cloud, inputs)
        chosen: JsonObject = sent.get("budgetFilter", {})
        if "labels" in chosen:
            chosen["labels"] = {name: [value] for name, value in chosen["labels"].items()}
        if chosen:
            chosen.setdefault("creditTypesTreatment", "INCLUDE_ALL_CREDITS")
        if sent["amount"].get("lastPeriodAmount"):
            sent["amount"]["lastPeriodAmount"] = {}
        for rule in sent.get("thresholdRules", ()):
            rule.setdefault("spendBasis", "CURRENT_SPEND")
        if "notificationsRule" in sent:
            sent["notificationsRule"].setdefault("schemaVersion", "1.0")
        return sent

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """The provider shows its bare name."""
        return {"name": str(live.get("name", "")).rpartition("/")[2]}


_RULE = {
    "enforcementMode": text(required=True),
    "evaluationMode": text(required=True),
    "requireAttestationsBies": texts(api="requireAttestationsBy"),
}


class BinaryAuthorizationPolicy(RestType):
    """The project's one policy: written whole, and in the place of a deletion set to what a new project has."""

    token = "gcp:binaryauthorization/policy:Policy"
    endpoint = "binaryAuthorization"
    masked, patch_method = False, "PUT"
    inputs: ClassVar[Shape] = {
        "project": name_part(),
        "admissionWhitelistPatterns": blocks({"namePattern": text(required=True)}),
        "clusterAdmissionRules": blocks({"cluster": text(required=True), **_RULE}),
        "defaultAdmissionRule": block(_RULE, required=True),
        "description": text(),
        "globalPolicyEvaluationMode": text(),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """The provider's id is the project's."""
        return templated("projects/{project}", inputs)

    def url(self, identity: str) -> str:
        """Below the project."""
        return f"{identity}/policy"

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """Rules of clusters are a map."""
        sent = super().body(cloud, inputs)
        rules = sent.pop("clusterAdmissionRules", [])
        return sent | ({"clusterAdmissionRules": {rule.pop("cluster"): rule for rule in rules}} if rules else {})

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """PUT it."""
        identity = self.identity(inputs)
        cloud.call(self.endpoint, "PUT", self.url(identity), body=self.body(cloud, inputs))
        return identity, self.fetch(cloud, identity)

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """PUT what a new project has."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        rule = {"enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG", "evaluationMode": "ALWAYS_ALLOW"}
        sent = {"name": f"{identity}/policy", "globalPolicyEvaluationMode": "ENABLE", "defaultAdmissionRule": rule}
        cloud.call(self.endpoint, "PUT", self.url(identity), body=sent)


class ServiceIdentity(ResourceType):
    """The account of a Google service in the project; there is nothing to read and nothing to delete."""

    token = "gcp:projects/serviceIdentity:ServiceIdentity"
    endpoint = "serviceUsage"
    inputs: ClassVar[Shape] = {"service": required(name_part()), "project": name_part()}

    def identity(self, inputs: Inputs) -> str:
        """Project and service."""
        return templated("projects/{project}/services/{service}", inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Have it made."""
        identity = self.identity(inputs)
        made = cloud.call(self.endpoint, "POST", f"{identity}:generateServiceIdentity")
        return identity, cloud.wait(self.endpoint, made)

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Once made it stays."""
        return {}

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Every change is another identity."""
        return {}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Google has no such call."""

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Its e-mail and what policies call it."""
        email = live.get("email")
        return {"email": email, "member": f"serviceAccount:{email}"} if email else {}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """None can be seen."""
        return []
