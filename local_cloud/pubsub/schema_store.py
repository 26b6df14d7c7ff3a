"""Schemas with their revisions, and what a topic's schema asks of messages that are published to it.

Owns the documents, one a revision, and the attributes that Pub/Sub adds to a checked message. What fits is
schema_law.py's. Source: schema.proto, https://cloud.google.com/pubsub/docs/schemas: at most 20 revisions; a topic whose
schema was deleted takes nothing.
"""

import secrets

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import failed_precondition, invalid
from local_cloud.pubsub import words
from local_cloud.pubsub.schema_law import DOES_NOT_FIT, ENCODINGS, check_definition, checker
from local_cloud.pubsub.state import PubSub

SCHEMA = "google.pubsub.v1.Schema"
MAX_REVISIONS = 20
_ENCODING_NAMES = {number: name for name, number in ENCODINGS.items()}


class Schemas:
    """The project's schemas."""

    def __init__(self, cloud: Cloud, pubsub: PubSub) -> None:
        self._cloud = cloud
        self._pubsub = pubsub
        #: By NAME@REVISION, in the order in which they were committed.
        self._kept = cloud.store.messages("pubsub.schemas", SCHEMA)

    def all(self) -> list[Message]:
        """Every schema as its latest revision."""
        return list({kept.name: kept for kept in self._kept.values()}.values())

    def revisions(self, name: str) -> list[Message]:
        """A schema's revisions, the latest first."""
        found = [kept for kept in self._kept.values() if kept.name == name]
        if not found:
            raise words.no_such(name)
        return found[::-1]

    def get(self, name: str) -> Message:
        """The latest revision of a schema, or the one after an @."""
        plain, _, revision = name.partition("@")
        found = self._kept.get(name) if revision else self.revisions(plain)[0]
        if found is None:
            raise words.no_such(name)
        return found

    def create(self, name: str, given: Message) -> Message:
        """A new schema."""
        if any(kept.name == name for kept in self._kept.values()):
            raise words.taken(name)
        return self._add(name, given)

    def commit(self, name: str, given: Message) -> Message:
        """Another revision, of the same type."""
        latest = self.revisions(name)
        if len(latest) >= MAX_REVISIONS:
            raise failed_precondition(f"The schema has {MAX_REVISIONS} revisions, and no schema has more.")
        if given.type != latest[0].type:
            raise invalid("The type of a schema cannot be changed.")
        return self._add(name, given)

    def rollback(self, name: str, revision: str) -> Message:
        """An old definition as a new revision."""
        return self.commit(name, self.get(f"{name}@{revision}"))

    def delete_revision(self, name: str) -> Message:
        """One revision goes, unless it is the only one; gives the latest of what is left."""
        plain, _, revision = name.partition("@")
        if not revision:
            raise invalid("The name must have a revision, as in projects/p/schemas/s@0123abcd.")
        self.get(name)
        if len(self.revisions(plain)) == 1:
            raise failed_precondition("The only revision of a schema cannot be deleted: delete the schema.")
        del self._kept[name]
        return self.get(plain)

    def delete(self, name: str) -> None:
        """The schema goes; its topics say so, and take nothing."""
        for kept in self.revisions(name):
            del self._kept[f"{name}@{kept.revision_id}"]
        for topic in self._pubsub.topics.values():
            if topic.schema_settings.schema == name:
                topic.schema_settings.schema = words.DELETED_SCHEMA
                self._pubsub.change_topic(topic)
        self._cloud.iam.forget(name)

    def validate(self, topic: Message, made: Message) -> None:
        """Checks a message before it is published; it is told which revision it fits."""
        if not topic.HasField("schema_settings"):
            return
        settings = topic.schema_settings
        if settings.schema == words.DELETED_SCHEMA:
            raise invalid("The schema of the topic was deleted.")
        for revision in self._allowed(settings):
            if checker(revision.type, revision.definition)(made.data, settings.encoding):
                made.attributes["googclient_schemaname"] = revision.name
                made.attributes["googclient_schemarevisionid"] = revision.revision_id
                made.attributes["googclient_schemaencoding"] = _ENCODING_NAMES[settings.encoding]
                return
        raise invalid(DOES_NOT_FIT)

    def _allowed(self, settings: Message) -> list[Message]:
        """The revisions from the first to the last that the topic names, the latest first."""
        found = self.revisions(settings.schema)[::-1]
        ids = [kept.revision_id for kept in found]
        first = ids.index(settings.first_revision_id) if settings.first_revision_id in ids else 0
        last = ids.index(settings.last_revision_id) if settings.last_revision_id in ids else len(ids) - 1
        return found[first : last + 1][::-1]

    def _add(self, name: str, given: Message) -> Message:
        check_definition(given)
        made = type(given)(name=name, type=given.type, definition=given.definition, revision_id=secrets.token_hex(4))
        words.put_time(made.revision_create_time, self._cloud.now())
        self._kept[f"{name}@{made.revision_id}"] = made
        return made
