"""What keys do: seal and open, sign and verify, over bytes. Knows no resource and no request.

A ciphertext of Encrypt names the version that made it, so that Decrypt finds it after rotations, and begins as
Google's do (`CiQA` in base64); the rest of the format is our own.
"""

import hashlib
import hmac
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from local_cloud.kms.algorithms import Algorithm
from local_cloud.kms.material import tag_of

_MAGIC = b"\x0a\x24\x00"
_TAG_AT, _NONCE_AT, _SEALED_AT = len(_MAGIC), len(_MAGIC) + 16, len(_MAGIC) + 28

_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}


class UnopenableError(Exception):
    """What was given is not what the key has sealed."""


def seal(key: bytes, version: str, plaintext: bytes, additional: bytes) -> bytes:
    """AES-256-GCM under a fresh nonce."""
    nonce = secrets.token_bytes(12)
    return _MAGIC + tag_of(version) + nonce + AESGCM(key).encrypt(nonce, plaintext, additional)


def made_by(ciphertext: bytes) -> bytes:
    """The tag of the version that made a ciphertext, or b""."""
    fits = ciphertext.startswith(_MAGIC) and len(ciphertext) >= _SEALED_AT + 16
    return ciphertext[_TAG_AT:_NONCE_AT] if fits else b""


def unseal(key: bytes, ciphertext: bytes, additional: bytes) -> bytes:
    """The plaintext of what seal() made."""
    try:
        return AESGCM(key).decrypt(ciphertext[_NONCE_AT:_SEALED_AT], ciphertext[_SEALED_AT:], additional)
    except InvalidTag:
        raise UnopenableError from None


def raw_seal(algorithm: Algorithm, key: bytes, nonce: bytes, plaintext: bytes, additional: bytes) -> bytes:
    """AES in the algorithm's mode, with nothing added but GCM's 16 bytes of tag at the end."""
    if algorithm.family == "AES_GCM":
        return AESGCM(key).encrypt(nonce, plaintext, additional)
    encryptor = Cipher(AES(key), _mode(algorithm, nonce)).encryptor()
    if algorithm.family == "AES_CBC":
        padder = padding.PKCS7(128).padder()
        plaintext = padder.update(plaintext) + padder.finalize()
    return encryptor.update(plaintext) + encryptor.finalize()


def raw_unseal(algorithm: Algorithm, key: bytes, nonce: bytes, ciphertext: bytes, additional: bytes) -> bytes:
    """The plaintext of what raw_seal() made."""
    try:
        if algorithm.family == "AES_GCM":
            return AESGCM(key).decrypt(nonce, ciphertext, additional)
        decryptor = Cipher(AES(key), _mode(algorithm, nonce)).decryptor()
        plaintext = decryptor.update(ciphertext) + decryptor.finalize()
        if algorithm.family == "AES_CBC":
            unpadder = padding.PKCS7(128).unpadder()
            plaintext = unpadder.update(plaintext) + unpadder.finalize()
    except (InvalidTag, ValueError):
        raise UnopenableError from None
    return plaintext


def nonce_length(algorithm: Algorithm) -> int:
    """Bytes of the initialisation vector."""
    return 12 if algorithm.family == "AES_GCM" else 16


def sign(algorithm: Algorithm, key: Any, digest: bytes) -> bytes:
    """A signature over a digest (over the data itself with Ed25519); ECDSA's in DER."""
    if algorithm.family == "ED25519":
        return bytes(key.sign(digest))
    chosen = _DIGESTS[algorithm.digest]
    if algorithm.family == "RSA_SIGN_PSS":
        pss = rsa_padding.PSS(rsa_padding.MGF1(chosen), chosen.digest_size)
        return bytes(key.sign(digest, pss, utils.Prehashed(chosen)))
    if algorithm.family == "RSA_SIGN_PKCS1":
        return bytes(key.sign(digest, rsa_padding.PKCS1v15(), utils.Prehashed(chosen)))
    return bytes(key.sign(digest, ec.ECDSA(utils.Prehashed(chosen))))


def digest_size(algorithm: Algorithm) -> int:
    """How long the digest is that the algorithm signs."""
    return _DIGESTS[algorithm.digest].digest_size


def digest_of(algorithm: Algorithm, data: bytes) -> bytes:
    """The digest of data, where it is signed whole."""
    return data if algorithm.family == "ED25519" else hashlib.new(algorithm.digest.lower(), data).digest()


def open_oaep(algorithm: Algorithm, key: Any, ciphertext: bytes) -> bytes:
    """The plaintext of what was sealed with the public key."""
    chosen = _DIGESTS[algorithm.digest]
    try:
        return bytes(key.decrypt(ciphertext, rsa_padding.OAEP(rsa_padding.MGF1(chosen), chosen, None)))
    except ValueError:
        raise UnopenableError from None


def mac(algorithm: Algorithm, key: bytes, data: bytes) -> bytes:
    """An HMAC."""
    return hmac.digest(key, data, algorithm.digest.lower())


def _mode(algorithm: Algorithm, nonce: bytes) -> Any:
    return modes.CBC(nonce) if algorithm.family == "AES_CBC" else modes.CTR(nonce)
