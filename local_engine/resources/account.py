"""``gcp:serviceaccount/account:Account``: a service account, whose e-mail is known before it exists."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Defaults, Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, flag, name_part, text


class Account(RestType):
    """A service account."""

    token = "gcp:serviceaccount/account:Account"
    endpoint = "iamBeta"
    collection = "projects/{project}/serviceAccounts"
    name_input = "accountId"
    list_key = "accounts"
    given = frozenset({"uniqueId", "email", "projectId", "oauth2ClientId", "disabled"})
    computed: ClassVar[Mapping[str, str]] = {"uniqueId": "uniqueId"}
    inputs: ClassVar[Shape] = {
        "accountId": name_part(required=False),
        "project": name_part(),
        "displayName": text(),
        "description": text(),
        "disabled": flag(virtual=True),
        "createIgnoreAlreadyExists": flag(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Accounts are addressed by e-mail."""
        email = _email(inputs)
        return templated("projects/{project}/serviceAccounts/", inputs) + email if email else ""

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """E-mail, name and member follow from the account's id."""
        email = _email(inputs)
        if not email:
            return {}
        return {"email": email, "name": self.identity(inputs), "member": f"serviceAccount:{email}"}

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """The account stands inside the request's body."""
        identity = self.identity(inputs)
        sent = {"accountId": inputs["accountId"], "serviceAccount": self.body(cloud, inputs)}
        cloud.call(self.endpoint, "POST", templated(self.collection, inputs), body=sent)
        if inputs.get("disabled"):
            cloud.call(self.endpoint, "POST", f"{identity}:disable")
        return identity, cloud.settled(lambda: cloud.get(self.endpoint, identity))

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Names by patch, ``disabled`` by its own call."""
        if "disabled" in changed:
            verb = "disable" if inputs.get("disabled") else "enable"
            cloud.call(self.endpoint, "POST", f"{identity}:{verb}")
        masks = {"displayName": "display_name", "description": "description"}
        fields = [mask for name, mask in masks.items() if name in changed]
        if fields:
            sent = {"serviceAccount": self.body(cloud, inputs), "updateMask": ",".join(fields)}
            cloud.call(self.endpoint, "PATCH", identity, body=sent)
        return cloud.get(self.endpoint, identity)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Names, and whether somebody disabled or enabled it."""
        found = super().drift(cloud, inputs, live)
        old, new = bool(live.get("disabled")), bool(inputs.get("disabled"))
        return [*found, Change(path="disabled", kind="update", old=old, new=new, drift=True)] if old != new else found

    def listed(self, cloud: Cloud, given: Defaults) -> Iterator[JsonObject]:
        """The project's own: Google's stand in the list too, and are nobody's to declare."""
        end = f"@{given.project}.iam.gserviceaccount.com"
        return (one for one in super().listed(cloud, given) if str(one["email"]).endswith(end))

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """The account's id is the first part of its address."""
        found = super().declared(live, given) | {"accountId": str(live["email"]).partition("@")[0]}
        return found | ({"disabled": True} if live.get("disabled") else {})


def _email(inputs: Inputs) -> str:
    return templated("{accountId}@{project}.iam.gserviceaccount.com", inputs)
