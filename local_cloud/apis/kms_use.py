"""What keys of KMS do: encrypt and decrypt, sign, verify, public keys, random bytes; each input by its checksum.

Source: google/cloud/kms/v1/service.proto, https://cloud.google.com/kms/docs/data-integrity-guidelines.
"""

import secrets

from local_cloud.apis.kms import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.engines.crc32c import crc32c
from local_cloud.errors import failed_precondition, invalid
from local_cloud.kms.algorithms import DECRYPT, ENCRYPT, MAC, SIGN, Algorithm
from local_cloud.kms.keyrings import PACKAGE, KeyRings, algorithm_of
from local_cloud.registry import Call

#: Bytes of a plaintext, of additional data, of what is signed or authenticated.
MOST_BYTES = 64 * 1024
RANDOM = (8, 1024)
_OPAQUE = "Decryption failed: verify that 'name' refers to the correct CryptoKey."


def checked(request: Message, *fields: str) -> dict[str, bool]:
    """Holds inputs against the checksums that came with them; which ones did."""
    verified = {}
    for field in fields:
        data = getattr(request, field)
        if len(data) > MOST_BYTES:
            raise invalid(f"The {field} must be no larger than 64KiB.")
        given = f"{field}_crc32c"
        verified[f"verified_{given}"] = request.HasField(given)
        if request.HasField(given) and getattr(request, given).value != crc32c(data):
            raise invalid(f"The checksum in field {given} did not match the data in field {field}.")
    return verified


def used(cloud: Cloud, name: str, *purposes: str) -> tuple[Message, Algorithm]:
    """A version that may be used for this."""
    version = cloud.use(KeyRings).usable(name)
    algorithm = algorithm_of(version)
    if algorithm.purpose not in purposes:
        key = name.partition("/cryptoKeyVersions/")[0]
        raise failed_precondition(
            f"The purpose of CryptoKey {key} is {algorithm.purpose}, not {' or '.join(purposes)}."
        )
    return version, algorithm


@API.rpc("Encrypt", permission="cloudkms.cryptoKeyVersions.useToEncrypt")
async def encrypt(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Seals with the primary version, or the one that is named."""
    from local_cloud.kms.ciphers import seal

    kept, name = cloud.use(KeyRings), str(request.name)
    if "/cryptoKeyVersions/" not in name:
        key = kept.key(name)
        name = kept.primary(name)
        if not name and key.purpose == 1:
            raise failed_precondition(f"CryptoKey {request.name} has no primary version.")
        if not name:
            raise failed_precondition(f"The purpose of CryptoKey {request.name} is not ENCRYPT_DECRYPT.")
    version, _ = used(cloud, name, ENCRYPT)
    verified = checked(request, "plaintext", "additional_authenticated_data")
    made = seal(kept.material.symmetric(name), name, request.plaintext, request.additional_authenticated_data)
    answer = message(f"{PACKAGE}.EncryptResponse")(
        name=name, ciphertext=made, protection_level=version.protection_level, **verified
    )
    answer.ciphertext_crc32c.value = crc32c(made)
    return answer


@API.rpc("Decrypt", permission="cloudkms.cryptoKeyVersions.useToDecrypt")
async def decrypt(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Opens with the version that sealed it."""
    from local_cloud.kms.ciphers import UnopenableError, made_by, unseal

    kept, key = cloud.use(KeyRings), str(request.name)
    if kept.key(key).purpose != 1:
        raise failed_precondition(f"The purpose of CryptoKey {key} is not ENCRYPT_DECRYPT.")
    if len(request.ciphertext) > MOST_BYTES + 1024:
        raise invalid("The ciphertext is too large.")
    given = "additional_authenticated_data"
    checked(request, given)
    if request.HasField("ciphertext_crc32c") and request.ciphertext_crc32c.value != crc32c(request.ciphertext):
        raise invalid("The checksum in field ciphertext_crc32c did not match the data in field ciphertext.")
    name = kept.by_tag(made_by(request.ciphertext))
    if not name.startswith(f"{key}/"):
        raise invalid(_OPAQUE)
    version, _ = used(cloud, name, ENCRYPT)
    try:
        plaintext = unseal(kept.material.symmetric(name), request.ciphertext, request.additional_authenticated_data)
    except UnopenableError:
        raise invalid("Decryption failed: the ciphertext is invalid.") from None
    answer = message(f"{PACKAGE}.DecryptResponse")(
        plaintext=plaintext, used_primary=name == kept.primary(key), protection_level=version.protection_level
    )
    answer.plaintext_crc32c.value = crc32c(plaintext)
    return answer


@API.rpc("AsymmetricSign", permission="cloudkms.cryptoKeyVersions.useToSign")
async def asymmetric_sign(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Signs a digest, or data."""
    from local_cloud.kms import ciphers

    kept = cloud.use(KeyRings)
    version, algorithm = used(cloud, request.name, SIGN)
    verified = checked(request, "data")
    kind = request.digest.WhichOneof("digest")
    digest = getattr(request.digest, kind) if kind else b""
    if kind and request.data:
        raise invalid("Only one of digest and data may be given.")
    if kind and kind != algorithm.digest.lower():
        raise invalid(f"The digest type does not fit {algorithm.name}, which signs {algorithm.digest or 'data'}.")
    if kind and len(digest) != ciphers.digest_size(algorithm):
        raise invalid(f"The {kind} digest has {len(digest)} bytes instead of {ciphers.digest_size(algorithm)}.")
    if not kind and not request.data:
        raise invalid("Either digest or data must be given.")
    verified["verified_digest_crc32c"] = request.HasField("digest_crc32c")
    if request.HasField("digest_crc32c") and request.digest_crc32c.value != crc32c(digest):
        raise invalid("The checksum in field digest_crc32c did not match the data in field digest.")
    wanted = digest or ciphers.digest_of(algorithm, request.data)
    made = ciphers.sign(algorithm, kept.material.private(request.name), wanted)
    answer = message(f"{PACKAGE}.AsymmetricSignResponse")(
        name=request.name, signature=made, protection_level=version.protection_level, **verified
    )
    answer.signature_crc32c.value = crc32c(made)
    return answer


@API.rpc("AsymmetricDecrypt", permission="cloudkms.cryptoKeyVersions.useToDecrypt")
async def asymmetric_decrypt(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Opens what was sealed with the public key."""
    from local_cloud.kms.ciphers import UnopenableError, open_oaep

    version, algorithm = used(cloud, request.name, DECRYPT)
    verified = checked(request, "ciphertext")
    try:
        key = cloud.use(KeyRings).material.private(request.name)
        plaintext = open_oaep(algorithm, key, request.ciphertext)
    except UnopenableError:
        raise invalid("Decryption failed: the ciphertext is invalid.") from None
    answer = message(f"{PACKAGE}.AsymmetricDecryptResponse")(
        plaintext=plaintext, protection_level=version.protection_level, **verified
    )
    answer.plaintext_crc32c.value = crc32c(plaintext)
    return answer


@API.rpc("GetPublicKey", permission="cloudkms.cryptoKeyVersions.viewPublicKey")
async def get_public_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The public half, in PEM or DER."""
    from local_cloud.kms.generate import public

    kind = message(f"{PACKAGE}.PublicKey")
    formats = kind.DESCRIPTOR.enum_types_by_name["PublicKeyFormat"].values_by_name
    version, _ = used(cloud, request.name, SIGN, DECRYPT)
    if request.public_key_format not in (0, formats["PEM"].number, formats["DER"].number):
        raise invalid("The public key format must be PEM or DER for this algorithm.")
    key = cloud.use(KeyRings).material.private(request.name)
    answer = kind(name=request.name, algorithm=version.algorithm, protection_level=version.protection_level)
    answer.public_key_format = request.public_key_format
    data = public(key, pem=request.public_key_format != formats["DER"].number)
    if request.public_key_format != formats["DER"].number:
        answer.pem, answer.pem_crc32c.value = data.decode(), crc32c(data)
    if request.public_key_format:
        answer.public_key.data, answer.public_key.crc32c_checksum.value = data, crc32c(data)
    return answer


@API.rpc("MacSign", permission="cloudkms.cryptoKeyVersions.useToSign")
async def mac_sign(cloud: Cloud, _call: Call, request: Message) -> Message:
    """An HMAC over data."""
    from local_cloud.kms.ciphers import mac

    version, algorithm = used(cloud, request.name, MAC)
    verified = checked(request, "data")
    made = mac(algorithm, cloud.use(KeyRings).material.symmetric(request.name), request.data)
    answer = message(f"{PACKAGE}.MacSignResponse")(
        name=request.name, mac=made, protection_level=version.protection_level, **verified
    )
    answer.mac_crc32c.value = crc32c(made)
    return answer


@API.rpc("MacVerify", permission="cloudkms.cryptoKeyVersions.useToVerify")
async def mac_verify(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Whether an HMAC is this key's over the data."""
    from local_cloud.kms.ciphers import mac

    version, algorithm = used(cloud, request.name, MAC)
    verified = checked(request, "data", "mac")
    made = mac(algorithm, cloud.use(KeyRings).material.symmetric(request.name), request.data)
    success = secrets.compare_digest(made, request.mac)
    return message(f"{PACKAGE}.MacVerifyResponse")(
        name=request.name,
        success=success,
        verified_success_integrity=success,
        protection_level=version.protection_level,
        **verified,
    )


@API.rpc("GenerateRandomBytes", permission="cloudkms.locations.generateRandomBytes")
async def generate_random_bytes(_cloud: Cloud, _call: Call, request: Message) -> Message:
    """Random bytes; Google's come from a hardware module, and only from there."""
    if not RANDOM[0] <= request.length_bytes <= RANDOM[1]:
        raise invalid(f"length_bytes must be between {RANDOM[0]} and {RANDOM[1]}.")
    if request.protection_level != 2:
        raise invalid("Only the HSM protection level is supported for GenerateRandomBytes.")
    data = secrets.token_bytes(request.length_bytes)
    answer = message(f"{PACKAGE}.GenerateRandomBytesResponse")(data=data)
    answer.data_crc32c.value = crc32c(data)
    return answer
