"""Versions of KMS keys: made, disabled, made primary, destroyed after a while, restored until then.

Source: google/cloud/kms/v1/service.proto, https://cloud.google.com/kms/docs/key-states.
"""

import asyncio

from local_cloud.apis.kms import API, deleted, named
from local_cloud.apis.kms_lists import answer_page
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import failed_precondition, invalid
from local_cloud.kms.algorithms import ENCRYPT, table
from local_cloud.kms.keyrings import PACKAGE, KeyRings, state, state_name, wrong_state
from local_cloud.registry import Call


async def make(key: Message) -> bytes:
    """New material for a key, made beside the loop: an RSA key takes up to seconds."""
    from local_cloud.kms.generate import new

    names = key.version_template.DESCRIPTOR.fields_by_name["algorithm"].enum_type.values_by_number
    return await asyncio.to_thread(new, table()[named(names, key.version_template.algorithm)])


@API.rpc("CreateCryptoKeyVersion", permission="cloudkms.cryptoKeyVersions.create")
async def create_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new version, enabled at once; the primary one stays what it was."""
    kept = cloud.use(KeyRings)
    kept.key(request.parent)
    material = await make(kept.keys[request.parent])
    return kept.add_version(kept.key(request.parent), material)


@API.rpc("GetCryptoKeyVersion", permission="cloudkms.cryptoKeyVersions.get")
async def get_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One version."""
    return cloud.use(KeyRings).version(request.name)


@API.rpc("ListCryptoKeyVersions", permission="cloudkms.cryptoKeyVersions.list")
async def list_versions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The versions of a key."""
    kept = cloud.use(KeyRings)
    kept.key(request.parent)
    response = message(f"{PACKAGE}.ListCryptoKeyVersionsResponse")
    return answer_page(response, "crypto_key_versions", kept.versions_of(request.parent), request)


@API.rpc("UpdateCryptoKeyVersion", permission="cloudkms.cryptoKeyVersions.update")
async def update_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Enables or disables; other transitions have methods of their own."""
    kept = cloud.use(KeyRings)
    found = kept.version(cloud.canonical(request.crypto_key_version.name))
    if list(request.update_mask.paths) != ["state"]:
        raise invalid("Only the field 'state' of a CryptoKeyVersion can be updated.")
    wanted = request.crypto_key_version.state
    allowed = (state("ENABLED"), state("DISABLED"))
    if wanted not in allowed:
        raise invalid("The state of a CryptoKeyVersion can be set to ENABLED or DISABLED.")
    if found.state not in allowed:
        raise wrong_state(found)
    found.state = wanted
    kept.versions.save(found.name)
    return found


@API.rpc("UpdateCryptoKeyPrimaryVersion", permission="cloudkms.cryptoKeys.update")
async def update_primary(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Chooses the version that encrypts from now on."""
    kept = cloud.use(KeyRings)
    key = kept.key(request.name)
    if key.purpose != key.DESCRIPTOR.enum_types_by_name["CryptoKeyPurpose"].values_by_name[ENCRYPT].number:
        raise invalid("Only a CryptoKey with purpose ENCRYPT_DECRYPT has a primary version.")
    version = kept.version(f"{request.name}/cryptoKeyVersions/{request.crypto_key_version_id}")
    if version.state not in (state("ENABLED"), state("DISABLED")):
        raise wrong_state(version)
    kept.set_primary(request.name, int(request.crypto_key_version_id))
    return kept.key(request.name)


@API.rpc("DestroyCryptoKeyVersion", permission="cloudkms.cryptoKeyVersions.destroy")
async def destroy_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Schedules the end of the material; until then it can be restored."""
    kept = cloud.use(KeyRings)
    found = kept.version(request.name)
    if found.state not in (state("ENABLED"), state("DISABLED")):
        raise wrong_state(found)
    kept.destroy_later(found)
    return found


@API.rpc("RestoreCryptoKeyVersion", permission="cloudkms.cryptoKeyVersions.restore")
async def restore_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Calls a destruction off that has not happened yet."""
    kept = cloud.use(KeyRings)
    found = kept.version(request.name)
    if found.state != state("DESTROY_SCHEDULED"):
        raise wrong_state(found)
    kept.restore(found)
    return found


@API.rpc("DeleteCryptoKeyVersion", permission="cloudkms.cryptoKeyVersions.delete")
async def delete_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Deletes what is left of a version whose material is destroyed."""
    kept = cloud.use(KeyRings)
    found = kept.version(request.name)
    if state_name(found) != "DESTROYED":
        raise failed_precondition(
            f"CryptoKeyVersion {request.name} must be DESTROYED to be deleted, current state is: {state_name(found)}."
        )
    key, _, number = request.name.partition("/cryptoKeyVersions/")
    if kept.numbers[key]["primary"] == int(number):
        kept.set_primary(key, 0)
    kept.forget_version(request.name)
    return deleted(cloud, request.name, message(f"{PACKAGE}.DeleteCryptoKeyVersionMetadata")())
