"""KMS's raw encryption: plain AES in a mode, for what others encrypt or decrypt outside of KMS.

CBC and CTR do not authenticate; Google asks for a permission of its own for them.
Source: google/cloud/kms/v1/service.proto, https://cloud.google.com/kms/docs/raw-symmetric-encryption.
"""

import secrets

from local_cloud.apis.kms import API
from local_cloud.apis.kms_use import checked, used
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.engines.crc32c import crc32c
from local_cloud.errors import invalid
from local_cloud.kms.algorithms import RAW, Algorithm
from local_cloud.kms.keyrings import PACKAGE, KeyRings
from local_cloud.registry import Call

_FIELDS = ("additional_authenticated_data", "initialization_vector")
TAG_LENGTH = 16
_MANAGE = {
    "AES_CBC": "cloudkms.cryptoKeyVersions.manageRawAesCbcKeys",
    "AES_CTR": "cloudkms.cryptoKeyVersions.manageRawAesCtrKeys",
}


@API.rpc("RawEncrypt", permission="cloudkms.cryptoKeyVersions.useToEncrypt")
async def raw_encrypt(cloud: Cloud, call: Call, request: Message) -> Message:
    """AES, under a vector of one's own where the mode takes one."""
    from local_cloud.kms import ciphers

    version, algorithm = _used(cloud, call, request)
    verified = checked(request, "plaintext", *_FIELDS)
    nonce = request.initialization_vector
    if nonce and algorithm.family == "AES_GCM":
        raise invalid("The initialization_vector of AES-GCM is chosen by Cloud KMS and must not be given.")
    nonce = nonce or secrets.token_bytes(ciphers.nonce_length(algorithm))
    _check(algorithm, nonce, request)
    key = cloud.use(KeyRings).material.symmetric(request.name)
    made = ciphers.raw_seal(algorithm, key, nonce, request.plaintext, request.additional_authenticated_data)
    answer = message(f"{PACKAGE}.RawEncryptResponse")(
        name=request.name,
        ciphertext=made,
        initialization_vector=nonce,
        protection_level=version.protection_level,
        tag_length=TAG_LENGTH if algorithm.family == "AES_GCM" else 0,
        **verified,
    )
    answer.ciphertext_crc32c.value, answer.initialization_vector_crc32c.value = crc32c(made), crc32c(nonce)
    return answer


@API.rpc("RawDecrypt", permission="cloudkms.cryptoKeyVersions.useToDecrypt")
async def raw_decrypt(cloud: Cloud, call: Call, request: Message) -> Message:
    """The reverse."""
    from local_cloud.kms import ciphers

    version, algorithm = _used(cloud, call, request)
    verified = checked(request, "ciphertext", *_FIELDS)
    _check(algorithm, request.initialization_vector, request)
    if request.tag_length not in (0, TAG_LENGTH):
        raise invalid(f"tag_length must be {TAG_LENGTH}.")
    key = cloud.use(KeyRings).material.symmetric(request.name)
    try:
        plaintext = ciphers.raw_unseal(
            algorithm,
            key,
            request.initialization_vector,
            request.ciphertext,
            request.additional_authenticated_data,
        )
    except ciphers.UnopenableError:
        raise invalid("Decryption failed: the ciphertext is invalid.") from None
    answer = message(f"{PACKAGE}.RawDecryptResponse")(
        plaintext=plaintext, protection_level=version.protection_level, **verified
    )
    answer.plaintext_crc32c.value = crc32c(plaintext)
    return answer


def _used(cloud: Cloud, call: Call, request: Message) -> tuple[Message, Algorithm]:
    version, algorithm = used(cloud, request.name, RAW)
    if algorithm.family in _MANAGE:
        cloud.iam.require(call.principal, _MANAGE[algorithm.family], request.name)
    return version, algorithm


def _check(algorithm: Algorithm, nonce: bytes, request: Message) -> None:
    from local_cloud.kms import ciphers

    if len(nonce) != ciphers.nonce_length(algorithm):
        raise invalid(f"The initialization_vector must have {ciphers.nonce_length(algorithm)} bytes.")
    if request.additional_authenticated_data and algorithm.family != "AES_GCM":
        raise invalid(f"{algorithm.name} takes no additional_authenticated_data.")
