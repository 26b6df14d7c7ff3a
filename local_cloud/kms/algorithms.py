"""The algorithms of Cloud KMS by their names: what each is for and what it is made of.

Left out: imported and external keys, unpadded RSA and post-quantum algorithms, which are refused by name.
Source: google/cloud/kms/v1/resources.proto, https://cloud.google.com/kms/docs/algorithms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

ENCRYPT, SIGN, DECRYPT, MAC, RAW = (
    "ENCRYPT_DECRYPT",
    "ASYMMETRIC_SIGN",
    "ASYMMETRIC_DECRYPT",
    "MAC",
    "RAW_ENCRYPT_DECRYPT",
)

#: What a version template has where the key's purpose leaves no choice.
DEFAULT = "GOOGLE_SYMMETRIC_ENCRYPTION"

_RSA_DIGESTS = {"2048": ("SHA256",), "3072": ("SHA256",), "4096": ("SHA256", "SHA512")}
_CURVES = {"EC_SIGN_P256_SHA256": "SHA256", "EC_SIGN_P384_SHA384": "SHA384", "EC_SIGN_SECP256K1_SHA256": "SHA256"}
_HMAC = {"SHA1": 160, "SHA224": 224, "SHA256": 256, "SHA384": 384, "SHA512": 512}

#: Google has this curve in its hardware modules alone.
HARDWARE_ONLY = ("EC_SIGN_SECP256K1_SHA256",)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm: `bits` is the length of a symmetric or RSA key, `digest` what signatures are made over."""

    name: str
    purpose: str
    family: str
    bits: int = 0
    digest: str = ""


@cache
def table() -> Mapping[str, Algorithm]:
    """Every algorithm that keys can be made for, by its name in the API."""
    made = [Algorithm(DEFAULT, ENCRYPT, "AES_GCM", 256)]
    made += [Algorithm(f"AES_{bits}_{mode}", RAW, f"AES_{mode}", bits) for bits in (128, 256) for mode in _MODES]
    made += [Algorithm(f"HMAC_{digest}", MAC, "HMAC", bits, digest) for digest, bits in _HMAC.items()]
    made += [Algorithm(name, SIGN, name.split("_")[2], 0, digest) for name, digest in _CURVES.items()]
    made.append(Algorithm("EC_SIGN_ED25519", SIGN, "ED25519"))
    for kind, purpose in (("SIGN_PSS", SIGN), ("SIGN_PKCS1", SIGN), ("DECRYPT_OAEP", DECRYPT)):
        for bits, digests in _RSA_DIGESTS.items():
            for digest in (*digests, "SHA1") if purpose is DECRYPT else digests:
                made.append(Algorithm(f"RSA_{kind}_{bits}_{digest}", purpose, f"RSA_{kind}", int(bits), digest))
    return {algorithm.name: algorithm for algorithm in made}


_MODES = ("GCM", "CBC", "CTR")
