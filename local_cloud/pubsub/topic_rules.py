"""What a topic may say, and what it is completed with.

Owns the checks of google.pubsub.v1.Topic. Leaves alone: who may ask, and keeping it. Sources: pubsub.proto,
https://cloud.google.com/pubsub/docs/topic-properties. What is said but not done here (a region for the messages, a
key, ingestion, transforms) is either kept and read back, as it makes no difference on loopback, or refused by name.
"""

import re
from collections.abc import Iterable

from local_cloud.descriptors import Message, enum
from local_cloud.errors import ApiError, invalid
from local_cloud.plain import merge
from local_cloud.pubsub import words

ENCODINGS = enum("google.pubsub.v1.Encoding")

#: What an update cannot change.
FIXED = ("name", "state", "satisfies_pzs", "tags")
_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+\d+")


def completed(given: Message) -> Message:
    """A topic as it is kept, after every check that needs nothing but itself."""
    made = type(given)()
    made.CopyFrom(given)
    for field in ("state", "satisfies_pzs", "tags"):  # the first two are ours to say, the third is never shown
        made.ClearField(field)
    words.check_labels(made.labels)
    if made.HasField("message_retention_duration"):
        words.check_retention(made.message_retention_duration)
    if made.kms_key_name and not _KEY.fullmatch(made.kms_key_name):
        raise words.wrong("kms_key_name")
    for region in made.message_storage_policy.allowed_persistence_regions:
        if not _REGION.fullmatch(region):
            raise invalid(f"Invalid region name given in the message storage policy (region={region}).")
    if made.HasField("message_storage_policy") and not made.message_storage_policy.allowed_persistence_regions:
        raise invalid("The list of allowed persistence regions must not be empty.")
    if made.HasField("schema_settings"):
        check_schema_settings(made.schema_settings)
    _refuse_what_is_not_done(made)
    return made


def check_schema_settings(settings: Message) -> None:
    """A schema needs a name and an encoding."""
    if settings.schema != words.DELETED_SCHEMA and settings.encoding == ENCODINGS["ENCODING_UNSPECIFIED"]:
        raise invalid("The encoding of the schema settings must be JSON or BINARY.")


def changed(current: Message, wanted: Message, paths: Iterable[str]) -> Message:
    """What an update makes of a topic."""
    mask = list(paths)
    words.check_mask(mask, "Topic", current, FIXED, "schema_settings")
    return completed(merge(current, wanted, mask))


def _refuse_what_is_not_done(topic: Message) -> None:
    what = ""
    if topic.HasField("ingestion_data_source_settings"):
        what = "Ingestion from other data sources (ingestion_data_source_settings)"
    elif topic.message_transforms:
        what = "Transforming messages (message_transforms)"
    if what:
        raise ApiError("UNIMPLEMENTED", f"{what} is not supported by the local cloud.")
