"""Cloud KMS v1: key rings and keys. Versions stand in kms_versions.py, what keys do in kms_use.py.

Sources: google/cloud/kms/v1/{service,resources}.proto, https://cloud.google.com/kms/docs/reference/rest. Words of
refusals are Google's where public issue threads have them.
"""

import re
from typing import Any

from local_cloud.apis.kms_lists import answer_page
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, failed_precondition, invalid
from local_cloud.kms.algorithms import DEFAULT, ENCRYPT, HARDWARE_ONLY, table
from local_cloud.kms.keyrings import DESTROY_AFTER, KEY, PACKAGE, RING, KeyRings, state_name
from local_cloud.labels import check_labels
from local_cloud.plain import merge
from local_cloud.registry import Api, Call

API = Api("cloudkms", services=[f"{PACKAGE}.KeyManagementService"])

_ID = re.compile(r"[a-zA-Z0-9_-]{1,63}")
DAY = 86400
#: Seconds between two rotations, and until destroyed material is gone.
ROTATION, DESTRUCTION = (DAY, 876_000 * 3600), (DAY, 120 * DAY)
#: What UpdateCryptoKey may change.
CHANGEABLE = ("labels", "next_rotation_time", "rotation_period", "version_template")
SOFTWARE = 1


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load the keys and arm their rotations."""
    cloud.provide(KeyRings(cloud))


def _ring_exists(cloud: Cloud, name: str) -> None:
    cloud.use(KeyRings).ring(name)


def _key_exists(cloud: Cloud, name: str) -> None:
    cloud.use(KeyRings).key(name)


API.iam_policies("projects/*/locations/*/keyRings/*", permission="cloudkms.keyRings", exists=_ring_exists)
API.iam_policies("projects/*/locations/*/keyRings/*/cryptoKeys/*", permission="cloudkms.cryptoKeys", exists=_key_exists)


@API.rpc("CreateKeyRing", permission="cloudkms.keyRings.create")
async def create_key_ring(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new ring; it stays for good."""
    name = _name(request.parent, "keyRings", request.key_ring_id, "key_ring_id")
    rings = cloud.use(KeyRings).rings
    if name in rings:
        raise already_exists(f"KeyRing {name} already exists.")
    rings[name] = made = message(RING)(name=name)
    made.create_time.FromNanoseconds(int(cloud.now() * 1_000_000) * 1000)
    return made


@API.rpc("GetKeyRing", permission="cloudkms.keyRings.get")
async def get_key_ring(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One ring."""
    return cloud.use(KeyRings).ring(request.name)


@API.rpc("ListKeyRings", permission="cloudkms.keyRings.list")
async def list_key_rings(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The rings of a location."""
    found = [ring for name, ring in cloud.use(KeyRings).rings.items() if name.startswith(f"{request.parent}/")]
    return answer_page(message(f"{PACKAGE}.ListKeyRingsResponse"), "key_rings", found, request)


@API.rpc("CreateCryptoKey", permission="cloudkms.cryptoKeys.create")
async def create_crypto_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new key with its first version, unless the caller wants none yet."""
    from local_cloud.apis.kms_versions import make

    kept = cloud.use(KeyRings)
    kept.ring(request.parent)
    name = _name(request.parent, "cryptoKeys", request.crypto_key_id, "crypto_key_id")
    if name in kept.keys:
        raise already_exists(f"CryptoKey {name} already exists.")
    if kept.is_retired(name):
        raise failed_precondition(f"CryptoKey {name} was deleted, and its name cannot be used again.")
    made = message(KEY)()
    made.CopyFrom(request.crypto_key)
    made.name = name
    made.ClearField("primary")
    _complete(made)
    _check(made)
    made.create_time.FromNanoseconds(int(cloud.now() * 1_000_000) * 1000)
    # Material takes a while to make; whoever was faster with the same name has it.
    material = None if request.skip_initial_version_creation else await make(made)
    if name in kept.keys:
        raise already_exists(f"CryptoKey {name} already exists.")
    kept.keys[name] = made
    kept.numbers[name] = {"last": 0, "primary": 0}
    if material is not None:
        kept.add_version(made, material)
        if _purpose(made) == ENCRYPT:
            kept.set_primary(name, 1)
    kept.schedule_rotation(name)
    return kept.key(name)


@API.rpc("GetCryptoKey", permission="cloudkms.cryptoKeys.get")
async def get_crypto_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One key, with its primary version."""
    return cloud.use(KeyRings).key(request.name)


@API.rpc("ListCryptoKeys", permission="cloudkms.cryptoKeys.list")
async def list_crypto_keys(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The keys of a ring."""
    kept = cloud.use(KeyRings)
    kept.ring(request.parent)
    found = [kept.key(name) for name in kept.keys if name.startswith(f"{request.parent}/")]
    return answer_page(message(f"{PACKAGE}.ListCryptoKeysResponse"), "crypto_keys", found, request)


@API.rpc("UpdateCryptoKey", permission="cloudkms.cryptoKeys.update")
async def update_crypto_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Labels, rotation and the template of versions to come; what a key is for stays."""
    kept, name = cloud.use(KeyRings), cloud.canonical(request.crypto_key.name)
    kept.key(name)
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid("The update_mask must name at least one field.")
    if wrong := [path for path in paths if path.partition(".")[0] not in CHANGEABLE]:
        raise invalid(f"Field '{wrong[0]}' of a CryptoKey cannot be updated.")
    made = merge(kept.keys[name], request.crypto_key, paths)
    _check(made)
    kept.keys[name] = made
    kept.schedule_rotation(name)
    return kept.key(name)


@API.rpc("DeleteCryptoKey", permission="cloudkms.cryptoKeys.delete")
async def delete_crypto_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Deletes a key that has no versions left; its name stays taken."""
    kept = cloud.use(KeyRings)
    kept.key(request.name)
    if left := kept.versions_of(request.name):
        raise failed_precondition(
            f"CryptoKey {request.name} still has versions: {left[0].name} is {state_name(left[0])}. "
            "Delete all CryptoKeyVersions first."
        )
    kept.forget_key(request.name)
    made = kept.retire(request.name, "CryptoKey")
    return deleted(cloud, request.name, message(f"{PACKAGE}.DeleteCryptoKeyMetadata")(retired_resource=made.name))


@API.rpc("ListRetiredResources", permission="cloudkms.retiredResources.list")
async def list_retired(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The names of what was deleted in a location."""
    kept = cloud.use(KeyRings).retired
    found = [one for name, one in kept.items() if name.startswith(f"{request.parent}/")]
    return answer_page(message(f"{PACKAGE}.ListRetiredResourcesResponse"), "retired_resources", found, request)


def deleted(cloud: Cloud, name: str, metadata: Message) -> Message:
    """The finished operation of a deletion."""
    parent = "/".join(name.split("/")[:4])
    return cloud.operations.done(parent, message("google.protobuf.Empty")(), metadata)


def _name(parent: str, collection: str, given: str, field: str) -> str:
    if not _ID.fullmatch(given):
        raise invalid(f"Invalid {field} '{given}': it must match the regular expression [a-zA-Z0-9_-]{{1,63}}.")
    return f"{parent}/{collection}/{given}"


def _purpose(key: Message) -> str:
    return str(key.DESCRIPTOR.enum_types_by_name["CryptoKeyPurpose"].values_by_number[key.purpose].name)


def _complete(made: Message) -> None:
    template = made.version_template
    template.protection_level = template.protection_level or SOFTWARE
    if not made.destroy_scheduled_duration.ToNanoseconds():
        made.destroy_scheduled_duration.FromSeconds(DESTROY_AFTER)
    if not template.algorithm and _purpose(made) == ENCRYPT:
        values = template.DESCRIPTOR.fields_by_name["algorithm"].enum_type.values_by_name
        template.algorithm = values[DEFAULT].number


def _check(made: Message) -> None:
    """Refuses what Google's KMS would, and what this one has not."""
    purpose, template = _purpose(made), made.version_template
    if not made.purpose:
        raise invalid("The purpose of the CryptoKey must be specified.")
    if made.import_only or made.crypto_key_backend or template.protection_level not in (SOFTWARE, 2):
        raise invalid("The local cloud makes keys of protection level SOFTWARE and HSM; it imports none.")
    names = template.DESCRIPTOR.fields_by_name["algorithm"].enum_type.values_by_number
    algorithm = table().get(named(names, template.algorithm))
    if not template.algorithm:
        raise invalid(f"The version_template must name an algorithm for a CryptoKey with purpose {purpose}.")
    if algorithm is None or algorithm.purpose != purpose:
        raise invalid(f"Algorithm {named(names, template.algorithm)} is not supported for purpose {purpose}.")
    if algorithm.name in HARDWARE_ONLY and template.protection_level == SOFTWARE:
        raise invalid(f"Algorithm {algorithm.name} is not supported for protection level SOFTWARE.")
    _check_times(made, purpose)
    check_labels(made.labels)


def _check_times(made: Message, purpose: str) -> None:
    if made.HasField("rotation_period") or made.HasField("next_rotation_time"):
        if purpose != ENCRYPT:
            raise invalid(f"Automatic rotation is not supported for purpose {purpose}.")
        if made.HasField("rotation_period"):
            if not _within(made.rotation_period, ROTATION):
                raise invalid("Invalid rotation period.")
            if not made.HasField("next_rotation_time"):
                raise invalid("next_rotation_time must be set when rotation_period is set.")
    if not _within(made.destroy_scheduled_duration, DESTRUCTION):
        raise invalid("The destroy_scheduled_duration must be between 24 hours and 120 days.")


def _within(duration: Message, limits: tuple[int, int]) -> bool:
    return bool(limits[0] <= duration.ToNanoseconds() / 1e9 <= limits[1])


def named(values: Any, number: int) -> str:
    """An enum value in words, also where the number is unknown."""
    return str(values[number].name) if number in values else str(number)
