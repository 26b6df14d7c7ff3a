"""Keys of service accounts, which their holders sign assertions with. Only public halves are kept.

Source: https://cloud.google.com/iam/docs/keys-create-delete and RFC 7523.
"""

import base64
import secrets
from typing import Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.store import Collection

KIND = "google.iam.admin.v1.ServiceAccountKey"

#: Keys are valid until the end of 9999, as Google's are.
NEVER = 253402300799


def kept(cloud: Cloud) -> Collection[Message]:
    """Every key by its resource name; public_key_data holds a PEM public key."""
    return cloud.store.messages("iam.keys", KIND)


def create(cloud: Cloud, account: Message) -> Message:
    """A new key; the answer, and only it, has the private half as a credentials file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key_id = secrets.token_hex(20)
    key = message(KIND)(
        name=f"{account.name}/keys/{key_id}", key_algorithm=2, public_key_data=public, key_origin=2, key_type=1
    )
    key.valid_after_time.FromSeconds(int(cloud.now()))
    key.valid_before_time.FromSeconds(NEVER)
    kept(cloud)[key.name] = key
    base = cloud.rest_url
    file = {
        "type": "service_account",
        "project_id": cloud.project,
        "private_key_id": key_id,
        "private_key": pem,
        "client_email": account.email,
        "client_id": account.unique_id,
        "auth_uri": f"{base}/o/oauth2/auth",
        "token_uri": f"{base}/token",
        "auth_provider_x509_cert_url": f"{base}/oauth2/v1/certs",
        "client_x509_cert_url": f"{base}/robot/v1/metadata/x509/{account.email}",
        "universe_domain": "googleapis.com",
    }
    answer = message(KIND)()
    answer.CopyFrom(key)
    answer.private_key_type = 2
    answer.private_key_data = orjson.dumps(file, option=orjson.OPT_INDENT_2)
    return answer


def verify_assertion(cloud: Cloud, assertion: str) -> dict[str, Any] | None:
    """The claims of a JWT that an enabled key of its issuer has signed and that is valid now."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        payload, _, signature = assertion.rpartition(".")
        head, _, body = payload.partition(".")
        header, claims = orjson.loads(_unb64(head)), orjson.loads(_unb64(body))
        account = cloud.iam.accounts.find(claims["iss"])
        if account is None:
            return None
        key = kept(cloud)[f"{account.name}/keys/{header['kid']}"]
        public = serialization.load_pem_public_key(key.public_key_data)
        assert isinstance(public, rsa.RSAPublicKey)
        public.verify(_unb64(signature), payload.encode(), padding.PKCS1v15(), hashes.SHA256())
        found: dict[str, Any] = claims
        # The signer's clock is the machine's or the cloud's: a token that is valid by either is.
        machine = cloud.now() - cloud.clock.offset
        expired = float(claims["exp"]) <= machine and float(claims["exp"]) <= cloud.now()
    except Exception:  # whatever is wrong with it, it is not a good assertion
        return None
    return None if expired or key.disabled else found


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
