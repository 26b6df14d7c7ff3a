"""New key material and the public halves of it: what needs the cryptography library, which a start does not load."""

import secrets
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from local_cloud.kms.algorithms import Algorithm

_CURVES: dict[str, ec.EllipticCurve] = {"P256": ec.SECP256R1(), "P384": ec.SECP384R1(), "SECP256K1": ec.SECP256K1()}


def new(algorithm: Algorithm) -> bytes:
    """New material; to make an RSA key takes a while."""
    if algorithm.family.startswith("RSA"):
        return _pem(rsa.generate_private_key(public_exponent=65537, key_size=algorithm.bits))
    if algorithm.family == "ED25519":
        return _pem(ed25519.Ed25519PrivateKey.generate())
    if algorithm.family in _CURVES:
        return _pem(ec.generate_private_key(_CURVES[algorithm.family]))
    return secrets.token_bytes(algorithm.bits // 8)


def public(key: Any, *, pem: bool) -> bytes:
    """The public half of a private key."""
    encoding = serialization.Encoding.PEM if pem else serialization.Encoding.DER
    made: bytes = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made


def load(pem: bytes) -> Any:
    """A private key of our own, which needs no check."""
    return serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)


def _pem(key: Any) -> bytes:
    made: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made
