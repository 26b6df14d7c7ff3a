"""What a secret's settings may be: labels, annotations, aliases, replication, topics, rotation, expiry.

Checked before anything is kept, on creation and on update alike.
Sources: google/cloud/secretmanager/v1/resources.proto, https://cloud.google.com/secret-manager/quotas
and https://cloud.google.com/secret-manager/docs/secret-rotation.
"""

import re

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import invalid

MAX_LABELS = 64
MAX_ALIASES = 50
MAX_TOPICS = 10
#: All keys and values of the annotations together.
MAX_ANNOTATIONS = 16 * 1024

_HOUR, _DAY = 3600, 86400
_YEARS = 100 * 366 * _DAY
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_LABEL_KEY = re.compile(r"[a-z\u00df-\uffff][a-z0-9_\-\u00df-\uffff]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_\-\u00df-\uffff]{0,63}")
_ANNOTATION_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


def check(cloud: Cloud, secret: Message, *, regional: bool, before: Message | None = None) -> None:
    """Raises INVALID_ARGUMENT for what Secret Manager would refuse; times that passed since `before` may stand."""
    _check_texts(secret)
    _check_replication(secret, regional)
    if before is None or (secret.rotation, list(secret.topics)) != (before.rotation, list(before.topics)):
        _check_rotation(cloud, secret)
    if secret.WhichOneof("expiration") == "ttl" and secret.ttl.ToNanoseconds() <= 0:
        raise invalid("Field [secret.ttl] must be positive.")
    if secret.WhichOneof("expiration") == "expire_time" and secret.expire_time.ToNanoseconds() <= cloud.now() * 1e9:
        raise invalid("Field [secret.expire_time] must be in the future.")
    if secret.HasField("version_destroy_ttl") and not _DAY <= secret.version_destroy_ttl.seconds <= 1000 * _DAY:
        raise invalid("Field [secret.version_destroy_ttl] must be between 24 hours and 1000 days.")


def _check_texts(secret: Message) -> None:
    if len(secret.labels) > MAX_LABELS:
        raise invalid(f"A secret may have at most {MAX_LABELS} labels.")
    for key, value in secret.labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"The label {key}={value} is not valid: lower-case letters, digits, _ and -, at most 63.")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in secret.annotations.items())
    if size > MAX_ANNOTATIONS:
        raise invalid(f"The annotations of a secret may have {MAX_ANNOTATIONS} bytes together; these have {size}.")
    for key in secret.annotations:
        if not _ANNOTATION_KEY.fullmatch(key):
            raise invalid(f"The annotation key {key} is not valid: letters, digits, -, _ and ., at most 63.")
    if len(secret.version_aliases) > MAX_ALIASES:
        raise invalid(f"A secret may have at most {MAX_ALIASES} version aliases.")
    for alias in secret.version_aliases:
        if not _ALIAS.fullmatch(alias) or alias == "latest":
            raise invalid(
                f"The version alias {alias} is not valid: a letter, then letters, digits, _ and -, at most 63."
            )


def _check_replication(secret: Message, regional: bool) -> None:
    kind = secret.replication.WhichOneof("replication")
    if regional:
        if kind:
            raise invalid("Field [secret.replication] must not be set on a regional secret.")
        return
    if not kind:
        raise invalid("Field [replication] must be provided.")
    places = [replica.location for replica in secret.replication.user_managed.replicas]
    if kind == "user_managed" and not all(places or [""]):
        raise invalid("Field [secret.replication.user_managed.replicas] must name at least one location.")
    if len(places) != len(set(places)):
        raise invalid("Field [secret.replication.user_managed.replicas] names a location twice.")


def _check_rotation(cloud: Cloud, secret: Message) -> None:
    topics = [topic.name for topic in secret.topics]
    if len(topics) > MAX_TOPICS:
        raise invalid(f"A secret may have at most {MAX_TOPICS} topics.")
    if wrong := [name for name in topics if not _TOPIC.fullmatch(name)]:
        raise invalid(f"The topic {wrong[0]} is not valid: it is written as projects/PROJECT/topics/TOPIC.")
    if not secret.HasField("rotation"):
        return
    rotation = secret.rotation
    if not topics:
        raise invalid("Field [secret.topics] must be provided with [secret.rotation]: rotation is a message to them.")
    if rotation.HasField("rotation_period"):
        if not _HOUR <= rotation.rotation_period.seconds <= _YEARS:
            raise invalid("Field [secret.rotation.rotation_period] must be between 1 hour and 100 years.")
        if not rotation.HasField("next_rotation_time"):
            raise invalid("Field [secret.rotation.next_rotation_time] must be provided with the rotation period.")
    if rotation.HasField("next_rotation_time") and rotation.next_rotation_time.seconds < cloud.now():
        raise invalid("Field [secret.rotation.next_rotation_time] must be in the future.")
