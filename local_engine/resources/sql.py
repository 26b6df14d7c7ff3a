"""``gcp:sql``: the database instance, its databases and its users, over the Cloud SQL admin API."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .. import diff
from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError, OperationFailedError
from ..model import Change
from ..resource_type import Inputs, ResourceType, templated
from ..shapes import Shape, block, blocks, body, flag, integer, labels, name_part, required, text, texts

_RETENTION = {"retainedBackups": integer(required=True), "retentionUnit": text()}
_BACKUP = {
    "backupRetentionSettings": block(_RETENTION),
    "enabled": flag(keep=True),
    "pointInTimeRecoveryEnabled": flag(keep=True),
    "startTime": text(),
    "location": text(),
    "transactionLogRetentionDays": integer(),
}
_IP = {
    "ipv4Enabled": flag(keep=True),
    "privateNetwork": text(),
    "sslMode": text(),
    "enablePrivatePathForGoogleCloudServices": flag(),
}
_SETTINGS = {
    "activationPolicy": text(),
    "availabilityType": text(),
    "backupConfiguration": block(_BACKUP),
    "connectorEnforcement": text(),
    "databaseFlags": blocks({"name": text(required=True), "value": text(required=True)}),
    "deletionProtectionEnabled": flag(),
    "diskAutoresize": flag(api="storageAutoResize", keep=True),
    "diskSize": integer(api="dataDiskSizeGb"),
    "diskType": text(api="dataDiskType"),
    "edition": text(),
    "insightsConfig": block({"queryInsightsEnabled": flag()}),
    "ipConfiguration": block(_IP),
    "maintenanceWindow": block({"day": integer(), "hour": integer(keep=True), "updateTrack": text()}),
    "pricingPlan": text(),
    "retainBackupsOnDelete": flag(),
    "tier": text(required=True),
    "userLabels": labels(),
}
#: Settings that the provider always states.
_STATED = {"enableDataplexIntegration": False, "enableGoogleMlIntegration": False, "retainBackupsOnDelete": False}


class SqlType(ResourceType):
    """What the three have in common: operations of the admin API, identities that are paths below the instance."""

    endpoint = "sql"

    def wait(self, cloud: Cloud, inputs: Inputs, operation: JsonObject) -> None:
        """The admin API's operations say DONE and are read by project."""

        def read(current: JsonObject) -> JsonObject:
            errors = current.get("error", {}).get("errors", [])
            if errors:
                raise OperationFailedError(
                    0, str(errors[0].get("code")), str(errors[0].get("message")), current["name"]
                )
            return {"name": path, "done": current.get("status", "DONE") == "DONE"}

        path = f"projects/{inputs['project']}/operations/{operation.get('name', '')}"
        current = read(operation)
        while not current["done"]:
            current = read(cloud.get(self.endpoint, path) | {"name": path})

    def instance(self, inputs: Inputs) -> str:
        """The path of the instance that holds it."""
        return templated("projects/{project}/instances/{instance}", inputs)


class Instance(SqlType):
    """A Cloud SQL instance."""

    token = "gcp:sql/databaseInstance:DatabaseInstance"
    deletion_protection = True
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "region": text(replaces=True),
        "databaseVersion": text(required=True),
        "deletionProtection": flag(virtual=True),
        "settings": block(_SETTINGS),
    }

    def identity(self, inputs: Inputs) -> str:
        """The provider's id is the bare name."""
        return templated("{name}", inputs)

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """The name by which the connector reaches it."""
        connection = templated("{project}:{region}:{name}", inputs)
        return {"connectionName": connection} if connection else {}

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Create, look at the default users as the provider does, read back."""
        sent = _instance_body(inputs)
        created = cloud.call(self.endpoint, "POST", templated("projects/{project}/instances", inputs), body=sent)
        self.wait(cloud, inputs, created)
        cloud.get(self.endpoint, f"{_path(inputs)}/users")
        return self.identity(inputs), cloud.settled(lambda: cloud.get(self.endpoint, _path(inputs)))

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """GET the instance."""
        try:
            return cloud.get(self.endpoint, _path(inputs))
        except NotFoundError:
            return None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Read, then write all settings."""
        live = cloud.get(self.endpoint, _path(inputs))
        if changed - {"deletionProtection"}:
            settings = {"dataCacheConfig": {}, "edition": "ENTERPRISE"} | _instance_body(inputs)["settings"]
            version = live.get("settings", {}).get("settingsVersion")
            sent: JsonObject = {"settings": settings | ({"settingsVersion": version} if version else {})}
            if "databaseVersion" in changed:
                sent["databaseVersion"] = inputs["databaseVersion"]
            self.wait(cloud, inputs, cloud.call(self.endpoint, "PUT", _path(inputs), body=sent))
        return cloud.get(self.endpoint, _path(inputs))

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """DELETE the instance."""
        try:
            self.wait(cloud, inputs, cloud.call(self.endpoint, "DELETE", _path(inputs)))
        except NotFoundError:
            return

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Addresses are the cloud's."""
        addresses = [entry for entry in live.get("ipAddresses", ()) if isinstance(entry, Mapping)]
        first = addresses[0].get("ipAddress", "") if addresses else ""
        private = next((entry.get("ipAddress", "") for entry in addresses if entry.get("type") == "PRIVATE"), "")
        name = str(live.get("connectionName") or self.predicted(inputs).get("connectionName", ""))
        return {"connectionName": name, "firstIpAddress": first, "privateIpAddress": private}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """What was declared of the settings."""
        declared = {
            "databaseVersion": inputs["databaseVersion"],
            "settings": body(_SETTINGS, inputs.get("settings", {})),
        }
        return list(diff.drift(declared, live))


class Database(SqlType):
    """A database in an instance."""

    token = "gcp:sql/database:Database"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "instance": required(name_part()),
        "project": name_part(),
        "charset": text(),
        "collation": text(),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Its path."""
        return templated("projects/{project}/instances/{instance}/databases/{name}", inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """POST to the instance's databases."""
        sent = {"instance": inputs["instance"], "name": inputs["name"]} | body(self.inputs, inputs)
        self.wait(cloud, inputs, cloud.call(self.endpoint, "POST", f"{self.instance(inputs)}/databases", body=sent))
        identity = self.identity(inputs)
        return identity, cloud.settled(lambda: cloud.get(self.endpoint, identity))

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """GET its path."""
        try:
            return cloud.get(self.endpoint, identity)
        except NotFoundError:
            return None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """PUT character set and collation."""
        sent = {"instance": inputs["instance"], "name": inputs["name"]} | body(self.inputs, inputs)
        if changed - {"deletionPolicy"}:
            self.wait(cloud, inputs, cloud.call(self.endpoint, "PUT", identity, body=sent))
        return cloud.get(self.endpoint, identity)

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """DELETE its path, unless the program said to abandon it."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        try:
            self.wait(cloud, inputs, cloud.call(self.endpoint, "DELETE", identity))
        except NotFoundError:
            return


class User(SqlType):
    """A login of an instance."""

    token = "gcp:sql/user:User"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "instance": required(name_part()),
        "project": name_part(),
        "host": text(replaces=True),
        "type": text(replaces=True),
        "password": text(secret=True),
        "databaseRoles": texts(),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """The provider's id: name, host, instance."""
        return templated("{name}/{host}/{instance}", {"host": ""} | dict(inputs))

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """POST to the instance's users."""
        sent = {"instance": inputs["instance"], "name": inputs["name"]} | body(self.inputs, inputs)
        self.wait(cloud, inputs, cloud.call(self.endpoint, "POST", f"{self.instance(inputs)}/users", body=sent))
        cloud.forget(f"users {self.instance(inputs)}")
        return self.identity(inputs), self.read(cloud, "", inputs) or {}

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Find it in the list of users."""
        path = f"{self.instance(inputs)}/users"

        def users() -> list[JsonObject]:
            try:
                return list(cloud.get(self.endpoint, path).get("items", ()))
            except NotFoundError:
                return []

        kept: list[JsonObject] = cloud.once(f"users {self.instance(inputs)}", users)
        wanted = (inputs["name"], inputs.get("host") or "")
        return next((user for user in kept if (user.get("name"), user.get("host") or "") == wanted), None)

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """PUT by name and host."""
        sent = {"instance": inputs["instance"], "name": inputs["name"]} | body(self.inputs, inputs)
        if changed - {"deletionPolicy"}:
            path = f"{self.instance(inputs)}/users"
            self.wait(cloud, inputs, cloud.call(self.endpoint, "PUT", path, body=sent, query=_named(inputs)))
        return self.read(cloud, identity, inputs) or {}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """DELETE by name and host, unless the program said to abandon it."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        path = f"{self.instance(inputs)}/users"
        try:
            self.wait(cloud, inputs, cloud.call(self.endpoint, "DELETE", path, query=_named(inputs)))
        except NotFoundError:
            return


def _instance_body(inputs: Inputs) -> JsonObject:
    settings = dict(_STATED) | body(_SETTINGS, inputs.get("settings", {}))
    sent: JsonObject = {"name": inputs["name"], "databaseVersion": inputs["databaseVersion"], "settings": settings}
    return sent | ({"region": inputs["region"]} if inputs.get("region") else {})


def _path(inputs: Inputs) -> str:
    return templated("projects/{project}/instances/{name}", inputs)


def _named(inputs: Inputs) -> dict[str, str]:
    return {"name": str(inputs["name"]), "host": str(inputs.get("host") or "")}
