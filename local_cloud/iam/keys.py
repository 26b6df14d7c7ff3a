"""Keys of service accounts, which their holders sign assertions with. Only public halves are kept.

Source: https://cloud.google.com/iam/docs/keys-create-delete and RFC 7523.
"""

import secrets
from typing import TYPE_CHECKING, Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid
from local_cloud.identity import key_id, unb64
from local_cloud.store import Collection

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

KIND = "google.iam.admin.v1.ServiceAccountKey"

#: Keys are valid until the end of 9999, as Google's are.
NEVER = 253402300799

#: ServiceAccountPrivateKeyType.TYPE_GOOGLE_CREDENTIALS_FILE.
JSON_FILE = 2

#: An assertion lives an hour at most; clocks may differ by SKEW.
MAX_SECONDS = 3600
SKEW = 300


def kept(cloud: Cloud) -> Collection[Message]:
    """Every key by its resource name; public_key_data holds a PEM public key."""
    return cloud.store.messages("iam.keys", KIND)


def create(cloud: Cloud, account: Message) -> Message:
    """A new key; the answer, and only it, has the private half as a credentials file."""
    from cryptography.hazmat.primitives import serialization

    from local_cloud.rsa_keys import load_key, new_key

    pem = new_key()
    public = load_key(pem).public_key()
    public_pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    kid = secrets.token_hex(20)
    key = message(KIND)(
        name=f"{account.name}/keys/{kid}", key_algorithm=2, public_key_data=public_pem, key_origin=2, key_type=1
    )
    key.valid_after_time.FromSeconds(int(cloud.now()))
    key.valid_before_time.FromSeconds(NEVER)
    kept(cloud)[key.name] = key
    base = cloud.rest_url
    file = {
        "type": "service_account",
        "project_id": cloud.project,
        "private_key_id": kid,
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
    answer.private_key_type = JSON_FILE
    answer.private_key_data = orjson.dumps(file, option=orjson.OPT_INDENT_2)
    return answer


def upload(cloud: Cloud, account: Message, certificate: bytes) -> Message:
    """A key whose private half its holder keeps; valid for as long as its certificate is."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        read = x509.load_pem_x509_certificate(certificate)
        public = read.public_key()
    except ValueError:
        public = None
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size not in (1024, 2048, 4096):
        raise invalid("The public key must be an X.509 certificate in PEM with an RSA key of 1024, 2048 or 4096 bits.")
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = message(KIND)(
        name=f"{account.name}/keys/{key_id(public)}", key_algorithm=2, public_key_data=pem, key_origin=1, key_type=1
    )
    if key.name in kept(cloud):
        raise already_exists(f"The public key {key_id(public)} was uploaded before.")
    key.valid_after_time.FromSeconds(max(int(read.not_valid_before_utc.timestamp()), 0))
    key.valid_before_time.FromSeconds(min(int(read.not_valid_after_utc.timestamp()), NEVER))
    kept(cloud)[key.name] = key
    return key


def public_key(key: Message) -> "rsa.RSAPublicKey":
    """The public half of a key that is kept."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    loaded = serialization.load_pem_public_key(key.public_key_data)
    assert isinstance(loaded, rsa.RSAPublicKey)
    return loaded


def public_keys(cloud: Cloud, account: Message) -> "dict[str, rsa.RSAPublicKey]":
    """Every key that verifies what the account signs: its own that are enabled and valid, and the cloud's for it."""
    found: dict[str, rsa.RSAPublicKey] = {}
    for name, key in kept(cloud).items():
        if name.startswith(f"{account.name}/keys/") and not key.disabled and _valid(key, cloud.now()):
            found[name.rpartition("/")[2]] = public_key(key)
    if cloud.identity.has_account_key(account.unique_id):
        own = cloud.identity.account_key(account.unique_id).public_key()
        found[key_id(own)] = own
    return found


def verify_assertion(cloud: Cloud, assertion: str) -> dict[str, Any] | None:
    """The claims of a JWT that a key of its issuer has signed, expired or not (see `timely`)."""
    from local_cloud.rsa_keys import verify

    try:
        payload, _, signature = assertion.rpartition(".")
        head, _, body = payload.partition(".")
        header, claims = orjson.loads(unb64(head)), orjson.loads(unb64(body))
        account = cloud.iam.accounts.find(claims["iss"])
        if account is None:
            return None
        key = public_keys(cloud, account)[header["kid"]]
        verify(key, unb64(signature), payload.encode())
        found: dict[str, Any] = claims
    except Exception:  # whatever is wrong with it, it is not a good assertion
        return None
    return found


def timely(cloud: Cloud, claims: dict[str, Any]) -> bool:
    """Whether an assertion is valid now: an hour long at most, by the machine's clock or the cloud's."""
    try:
        issued, expires = float(claims["iat"]), float(claims["exp"])
    except (KeyError, TypeError, ValueError):
        return False
    # The signer's clock is the machine's or the cloud's: a token that is valid by either is.
    clocks = (cloud.now(), cloud.now() - cloud.clock.offset)
    return expires - issued <= MAX_SECONDS and any(issued - SKEW <= now < expires for now in clocks)


def _valid(key: Message, now: float) -> bool:
    return bool(key.valid_after_time.seconds <= now < key.valid_before_time.seconds)
