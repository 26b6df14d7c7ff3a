"""What is kept of Cloud SQL: instances, databases, users, operations, and which instance the Postgres server is.

Owns links, operations and the rule that one server is one instance (docs/adr/cloud-sql-server.md): databases and roles
belong to the whole server, and clients connect by their plain names. What other instances declare is only kept.
"""

import uuid
from collections.abc import Iterator

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, failed_precondition
from local_cloud.sql.server import SYSTEM_DATABASES, Server
from local_cloud.store import Collection

PACKAGE = "google.cloud.sql.v1beta4"
INSTANCE, DATABASE, USER, OPERATION = (
    f"{PACKAGE}.{kind}" for kind in ("DatabaseInstance", "Database", "User", "Operation")
)
#: Operations that are kept; the oldest go.
MOST_OPERATIONS = 1000


class Sql:
    """Instances by name, databases and users by instance/name, operations by id."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.instances = cloud.store.messages("sql.instances", INSTANCE)
        self.databases = cloud.store.messages("sql.databases", DATABASE)
        self.users = cloud.store.messages("sql.users", USER)
        self.operations = cloud.store.messages("sql.operations", OPERATION)
        self.server = Server(cloud.settings.postgres) if cloud.settings.postgres else None
        self._told = False

    @property
    def served(self) -> str:
        """The instance that the server is: the first Postgres instance there is; "" without one."""
        return next((str(made.name) for made in self.instances.values() if is_postgres(made)), "")

    def server_of(self, instance: str) -> Server | None:
        """The server, for the instance that is made on it."""
        return self.server if self.server is not None and instance == self.served else None

    def check_place(self, made: Message) -> None:
        """Refuses a second instance on the one server, and says once that nothing runs where there is none."""
        if self.server is None:
            if not self._told:
                self._told = True
                self.cloud.log.event(
                    "WARNING",
                    "Cloud SQL is only kept: databases and users are made nowhere, since the local cloud was started "
                    "without --postgres URL.",
                )
        elif not is_postgres(made):
            self.cloud.log.event("WARNING", f"Cloud SQL instance {made.name} is only kept: it is not Postgres.")
        elif self.served:
            raise failed_precondition(
                f"The Postgres server at {self.server.place} is the instance {self.served} already, and one server is "
                f"one instance here. Delete that one, or start another local cloud for {made.name}."
            )

    async def restore(self) -> None:
        """Makes what is kept on a server that lacks it: it may be new, or the state older than it."""
        if self.server is None or not self.served:
            return
        try:
            await self.server.prepare()
            for made in self.below(self.databases, self.served):
                if made.name not in SYSTEM_DATABASES:
                    await self.server.make_database(made.name, made.charset)
            for user in self.below(self.users, self.served):
                if user.name != "postgres":
                    await self.server.make_user(user.name, user_type(user), "")
        except ApiError as error:
            self.cloud.log.event("WARNING", f"Cloud SQL instance {self.served} is not restored: {error.text}")

    def instance(self, name: str) -> Message:
        """An instance, or the 404 that hides whether it exists."""
        found = self.instances.get(name)
        if found is None:
            raise ApiError("NOT_FOUND", "The Cloud SQL instance does not exist.")
        return found

    def below(self, kept: Collection[Message], instance: str) -> Iterator[Message]:
        """What belongs to an instance."""
        return (found for key, found in list(kept.items()) if key.startswith(f"{instance}/"))

    def link(self, *parts: str) -> str:
        """A self link."""
        return "/".join(("https://sqladmin.googleapis.com/sql/v1beta4/projects", self.cloud.project, *parts))

    def done(self, email: str, kind: str, instance: str) -> Message:
        """An operation that is over."""
        made = message(OPERATION)(kind="sql#operation", name=str(uuid.uuid4()), target_id=instance)
        made.target_project, made.user = self.cloud.project, email
        made.target_link, made.self_link = self.link("instances", instance), self.link("operations", made.name)
        for field, value in (("operation_type", kind), ("status", "DONE")):
            setattr(made, field, number(made, field, value))
        for moment in (made.insert_time, made.start_time, made.end_time):
            moment.FromNanoseconds(int(self.cloud.now() * 1000) * 1_000_000)
        self.operations[made.name] = made
        while len(self.operations) > MOST_OPERATIONS:
            self.operations.pop(next(iter(self.operations)))
        return made


def is_postgres(made: Message) -> bool:
    """Whether an instance is one of Postgres."""
    return value_name(made, "database_version").startswith("POSTGRES")


def user_type(made: Message) -> str:
    """The type of a user by name."""
    return value_name(made, "type")


def value_name(made: Message, field: str) -> str:
    """The name of an enum's value."""
    values = made.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    number = getattr(made, field)
    return str(values[number].name) if number in values else str(number)


def number(made: Message, field: str, name: str) -> int:
    """The number of an enum's value."""
    return int(made.DESCRIPTOR.fields_by_name[field].enum_type.values_by_name[name].number)
