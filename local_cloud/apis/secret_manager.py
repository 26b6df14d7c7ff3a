"""Secret Manager v1: secrets, versions, access, aliases, expiry, policies.

The state and its law are in local_cloud/secrets.py, what settings may be in local_cloud/secret_rules.py; this module
answers requests. Rotation by Google (EnableManagedRotation, RotateSecret) needs a database to rotate at and is not
there.
Source: google/cloud/secretmanager/v1/service.proto, https://cloud.google.com/secret-manager/quotas.
"""

import re

from local_cloud import secret_rules
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.engines.crc32c import crc32c
from local_cloud.errors import failed_precondition, invalid
from local_cloud.logs.fields import free
from local_cloud.logs.query import QueryError, parse
from local_cloud.plain import merge, page
from local_cloud.registry import Api, Call
from local_cloud.secrets import DESTROYED, DISABLED, ENABLED, Secrets
from local_cloud.server.json_codec import encode

API = Api("secretmanager", services=["google.cloud.secretmanager.v1.SecretManagerService"])

Empty = message("google.protobuf.Empty")

#: A version holds at most this many bytes.
MAX_PAYLOAD = 65_536
#: The page size of lists, and its ceiling.
PAGE, MAX_PAGE = 25_000, 25_000
_SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CHANGEABLE = {
    "labels", "annotations", "version_aliases", "topics", "rotation", "expire_time", "ttl", "version_destroy_ttl",
    "etag",
}  # fmt: skip


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load secrets, and set the timers of those that expire."""
    secrets = Secrets(cloud)
    cloud.provide(secrets)
    for name, secret in secrets.secrets.items():
        _schedule_expiry(cloud, name, secret)
    for key, version in secrets.versions.items():
        _schedule_destruction(cloud, key, version)


@API.rpc("CreateSecret", permission="secretmanager.secrets.create")
async def create_secret(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Create a secret without versions."""
    if not _SECRET_ID.fullmatch(request.secret_id):
        raise invalid(f"Secret ID [{request.secret_id}] is not valid: it must match [a-zA-Z0-9_-]{{1,255}}.")
    secret = message("google.cloud.secretmanager.v1.Secret")()
    secret.CopyFrom(request.secret)
    if secret.version_aliases:
        raise invalid("Version aliases can only be set on a secret that has the versions they name.")
    secret_rules.check(cloud, secret, regional="/locations/" in request.parent)
    name = f"{request.parent}/secrets/{request.secret_id}"
    secrets = cloud.use(Secrets)
    _resolve_ttl(cloud, secret)
    made = secrets.create(name, secret)
    _schedule_expiry(cloud, name, made)
    return made


@API.rpc("GetSecret", permission="secretmanager.secrets.get")
async def get_secret(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a secret's settings."""
    return cloud.use(Secrets).get(request.name)


@API.rpc("ListSecrets", permission="secretmanager.secrets.list")
async def list_secrets(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All secrets below a project."""
    kept = cloud.use(Secrets).secrets.items()
    found = [s for name, s in kept if name.rpartition("/secrets/")[0] == request.parent]
    found = _filtered(found, request.filter)
    taken, token = page(found, request.page_size, request.page_token, lambda s: str(s.name), default=PAGE, most=PAGE)
    answer = message("google.cloud.secretmanager.v1.ListSecretsResponse")
    return answer(secrets=taken, next_page_token=token, total_size=len(found))


@API.rpc("UpdateSecret", permission="secretmanager.secrets.update")
async def update_secret(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change labels, annotations, aliases, expiry and notifications."""
    secrets = cloud.use(Secrets)
    name = cloud.canonical(request.secret.name)
    current = secrets.get(name)
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid("Field [update_mask] must be provided and name at least one field.")
    if wrong := [path for path in paths if path.partition(".")[0] not in _CHANGEABLE]:
        raise invalid(f"The field mask names fields that cannot be updated: {', '.join(wrong)}.")
    _check_etag(current, request.secret.etag)
    if not (changed := [path for path in paths if path != "etag"]):
        return current
    made = merge(current, request.secret, changed)
    secret_rules.check(cloud, made, regional="/locations/" in name, before=current)
    known = {key.rpartition("/")[2] for key, _ in secrets.versions_of(name)}
    for alias, version in made.version_aliases.items():
        if str(version) not in known:
            raise failed_precondition(f"Secret Version [{current.name}/versions/{version}] of alias {alias} not found.")
    _resolve_ttl(cloud, made)
    secrets.save(name, made)
    _schedule_expiry(cloud, name, made)
    return made


@API.rpc("DeleteSecret", permission="secretmanager.secrets.delete")
async def delete_secret(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a secret and all its versions."""
    secrets = cloud.use(Secrets)
    _check_etag(secrets.get(request.name), request.etag)
    secrets.delete(request.name)
    return Empty()


@API.rpc("AddSecretVersion", permission="secretmanager.versions.add")
async def add_secret_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Add a version with a payload."""
    secrets, data = cloud.use(Secrets), request.payload.data
    secrets.get(request.parent)
    if not data:
        raise invalid("Secret Payload cannot be empty.")
    if len(data) > MAX_PAYLOAD:
        raise invalid(f"The secret payload of {len(data)} bytes exceeds the maximum of {MAX_PAYLOAD} bytes.")
    checked = request.payload.HasField("data_crc32c")
    if checked and request.payload.data_crc32c != crc32c(data):
        raise invalid("The checksum in the request does not match the checksum of the payload: it was damaged.")
    return secrets.add(request.parent, data, checked=checked)


@API.rpc("GetSecretVersion", permission="secretmanager.versions.get")
async def get_secret_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a version's state."""
    secrets = cloud.use(Secrets)
    return secrets.versions[secrets.resolve(request.name)]


@API.rpc("ListSecretVersions", permission="secretmanager.versions.list")
async def list_secret_versions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All versions of a secret, newest first."""
    secrets = cloud.use(Secrets)
    secrets.get(request.parent)
    found = _filtered([version for _, version in secrets.versions_of(request.parent)], request.filter)
    # Newest first, as Google lists them: the key falls as the number grows.
    taken, token = page(
        found, request.page_size, request.page_token, lambda v: f"{10**12 - int(v.name.rpartition('/')[2]):013}",
        default=PAGE, most=MAX_PAGE,
    )  # fmt: skip
    answer = message("google.cloud.secretmanager.v1.ListSecretVersionsResponse")
    return answer(versions=taken, next_page_token=token, total_size=len(found))


@API.rpc("AccessSecretVersion", permission="secretmanager.versions.access")
async def access_secret_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a version's payload."""
    found, data = cloud.use(Secrets).access(request.name)
    answer = message("google.cloud.secretmanager.v1.AccessSecretVersionResponse")
    return answer(name=found.name, payload={"data": data, "data_crc32c": crc32c(data)})


@API.rpc("EnableSecretVersion", permission="secretmanager.versions.enable")
async def enable_secret_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a version accessible."""
    return _set_state(cloud, request, ENABLED)


@API.rpc("DisableSecretVersion", permission="secretmanager.versions.disable")
async def disable_secret_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a version inaccessible until it is enabled."""
    return _set_state(cloud, request, DISABLED)


@API.rpc("DestroySecretVersion", permission="secretmanager.versions.destroy")
async def destroy_secret_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Destroy a version's payload, at once or after the secret's version_destroy_ttl."""
    secrets = cloud.use(Secrets)
    key = secrets.resolve(request.name)
    secret, version = secrets.get(key.rpartition("/versions/")[0]), secrets.versions[key]
    delay = secret.version_destroy_ttl.ToSeconds() if secret.HasField("version_destroy_ttl") else 0
    if delay and version.state != DESTROYED:
        _check_etag(version, request.etag)
        if version.HasField("scheduled_destroy_time"):
            return version
        made = secrets.set_state(key, DISABLED)
        made.scheduled_destroy_time.FromNanoseconds(int((cloud.now() + delay) * 1e9))
        secrets.versions.save(key)
        _schedule_destruction(cloud, key, made)
        return made
    return _set_state(cloud, request, DESTROYED)


API.iam_policies(
    "projects/*/secrets/*",
    permission="secretmanager.secrets",
    exists=lambda cloud, name: cloud.use(Secrets).get(name) and None,
    service="SecretManagerService",
)


def _set_state(cloud: Cloud, request: Message, state: int) -> Message:
    secrets = cloud.use(Secrets)
    key = secrets.resolve(request.name)
    version = secrets.versions[key]
    _check_etag(version, request.etag)
    if version.state == DESTROYED and state != DESTROYED:
        raise secrets.in_state(version)
    return secrets.set_state(key, state)


def _check_etag(current: Message, given: str) -> None:
    if given and given != current.etag:
        raise failed_precondition(
            f"The etag provided ({given}) does not match the current etag ({current.etag}) of [{current.name}]. "
            "Read it again and retry."
        )


def _filtered(found: list[Message], text: str) -> list[Message]:
    try:
        query = parse(text, free)
    except QueryError as error:
        raise invalid(f"Invalid filter: {error}") from None
    if not text.strip():
        return found
    return [item for item in found if query.matches(encode(item))]


def _resolve_ttl(cloud: Cloud, secret: Message) -> None:
    if secret.WhichOneof("expiration") == "ttl":
        secret.expire_time.FromNanoseconds(int((cloud.now() + secret.ttl.ToNanoseconds() / 1e9) * 1e9))


def _schedule_expiry(cloud: Cloud, name: str, secret: Message) -> None:
    """One timer a secret: the last one is taken back."""
    timers = cloud.use(Secrets).expiries
    if (last := timers.pop(name, None)) is not None:
        last.cancel()
    if secret.HasField("expire_time"):
        due = secret.expire_time.ToNanoseconds()

        def expire() -> None:
            secrets = cloud.use(Secrets)
            current = secrets.secrets.get(name)
            if current is not None and current.expire_time.ToNanoseconds() == due:
                secrets.delete(name)

        timers[name] = cloud.clock.call_at(due / 1e9, expire)


def _schedule_destruction(cloud: Cloud, key: str, version: Message) -> None:
    if version.HasField("scheduled_destroy_time"):
        due = version.scheduled_destroy_time.ToNanoseconds()

        def destroy() -> None:
            secrets = cloud.use(Secrets)
            current = secrets.versions.get(key)
            if current is not None and current.scheduled_destroy_time.ToNanoseconds() == due:
                secrets.set_state(key, DESTROYED)

        cloud.clock.call_at(due / 1e9, destroy)
