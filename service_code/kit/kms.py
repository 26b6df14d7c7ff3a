"""The wallet's key in Cloud KMS (EC_SIGN_SECP256K1_SHA256, HSM): it never leaves there.

KMS signs the 32 bytes that it is given as a SHA-256 digest, which may as well be Keccak's. Its answer is DER with any s
and no parity: s is brought to the lower half, as Ethereum demands, and the parity is the one that recovers the wallet.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from coincurve import PublicKey
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from service_code.kit.access import Access
from service_code.kit.outside import Outside, UnreachableError
from service_code.kit.signer import DigestSigner, Limits, SigningRefusedError, address_of, recover

ENDPOINT = "https://cloudkms.googleapis.com"
#: The order of the curve: a signature's s and ORDER - s are equally valid, and only the lower one is Ethereum's.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
#: Seconds for one signature; the wallet's row is locked meanwhile.
TIMEOUT = 5.0


class KmsSigner(DigestSigner):
    """Signs with a key version in Cloud KMS."""

    def __init__(
        self,
        key: str,
        chain_id: int,
        limits: Limits,
        *,
        outside: Outside,
        access: Access,
        endpoint: str = ENDPOINT,
    ) -> None:
        super().__init__("", chain_id, limits)
        self._url = f"{endpoint.rstrip('/')}/v1/{key}"
        self._outside = outside
        self._access = access

    async def open(self) -> None:
        """Learn the wallet's address from the public key."""
        pem = str((await self._ask("GET", "/publicKey")).get("pem") or "")
        key = load_pem_public_key(pem.encode())
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256K1):
            raise SigningRefusedError("BAD_KEY", "the KMS key is not a secp256k1 key")
        self.address = address_of(PublicKey(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)))

    async def sign_digest(self, digest: bytes) -> bytes:
        """Have KMS sign, and bring its signature into Ethereum's form."""
        wish = json.dumps({"digest": {"sha256": base64.b64encode(digest).decode()}}).encode()
        answer = await self._ask("POST", ":asymmetricSign", wish)
        return normalize(base64.b64decode(str(answer.get("signature") or "")), digest, self.address)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self._access.token()}", "Content-Type": "application/json"}
        answer = await self._outside.call(
            method, self._url + path, what="Cloud KMS", headers=headers, body=body, timeout=TIMEOUT
        )
        found = answer.json()
        if answer.status != 200 or not isinstance(found, dict):
            raise UnreachableError(f"Cloud KMS answered {answer.status}")
        return found


def normalize(der: bytes, digest: bytes, address: str) -> bytes:
    """Turn a DER signature into r, low s and the parity that recovers the address."""
    r, s = decode_dss_signature(der)
    s = min(s, ORDER - s)
    both = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for parity in (0, 1):
        signature = both + bytes([parity])
        try:
            if recover(digest, signature) == address:
                return signature
        except ValueError:
            continue
    raise SigningRefusedError("SIGNER_MISMATCH", "the signature is not the wallet's")
